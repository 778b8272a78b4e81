"""Opens what the candidates of a search are trained on, without the test part."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from batteryscope.core.named_function import load_function
from batteryscope.search.candidate import CandidateTrainer
from batteryscope.search.plan import SearchPlan, Strategy


def open_data(
    plan: SearchPlan, manifest: Path, split: Path, tiles: Path | None, parents: Sequence[Path]
) -> Callable[[Strategy], CandidateTrainer]:
    """Open data and return what makes the trainer of a strategy.

    Parameters
    ----------
    plan
        The search.
    manifest, split
        Tables of the contract.
    tiles
        Tile store of a study of images; None for tables.
    parents
        Parts of the stage that the searched one continues; empty if there is none.
    """
    samples, roles = pd.read_parquet(manifest), pd.read_parquet(split)
    open_trainer = load_function(plan.trainer, "open_trainer")
    make: Callable[[Strategy], CandidateTrainer] = open_trainer(
        plan, samples, roles, tiles, parents
    )
    return make
