"""Opens what the candidates of a search are trained on, without the test part."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from batteryscope.search.candidate import CandidateTrainer
from batteryscope.search.plan import SearchPlan, Strategy
from batteryscope.search.plan_search import StageSearch
from batteryscope.search.plan_table_search import TableSearch
from batteryscope.search.stage_candidate import StageTrainer, keep_seen_part
from batteryscope.search.table_candidate import TableTrainer, keep_seen_rows
from batteryscope.tilestore import TileStore


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
    if isinstance(plan, TableSearch):
        import torch

        torch.set_num_threads(1)  # more threads only slow down networks of this size
        rows = keep_seen_rows(samples, roles)
        return lambda strategy: TableTrainer(plan, rows, strategy)
    assert isinstance(plan, StageSearch)
    assert tiles is not None
    store = TileStore.open(tiles)
    data = keep_seen_part(samples, roles, store.index, store.tiles)
    return lambda strategy: StageTrainer(plan, data, tuple(parents))
