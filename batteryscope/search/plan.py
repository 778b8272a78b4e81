"""What a search is, whatever it trains: its settings, its arm, its name, its strategies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
from pydantic import BaseModel

from batteryscope.config.search import SearchSettings
from batteryscope.provenance import digest_json, digest_text

Strategy = Literal["asha", "random"]
STRATEGIES: tuple[Strategy, ...] = ("asha", "random")


@dataclass(frozen=True)
class SearchInputs:
    """The pieces of a study that candidates learn from.

    Attributes
    ----------
    split
        The division.
    tiles, rows
        Tile store, of a search among networks of pictures; rows, of one among networks of rows.
    parents
        Fits that the training starts from.
    weights
        What the network starts from: a name, or a file.
    gpus
        How many a worker can use.
    """

    split: Path
    tiles: Path | None = None
    rows: Path | None = None
    parents: Sequence[Path] = ()
    weights: str = "random"
    gpus: int = 0


@dataclass(frozen=True)
class SearchPlan(ABC):
    """A study's search: its settings, with the metric named, and the arm that it follows."""

    study: str
    settings: SearchSettings
    arm: str

    recipe: ClassVar[type[BaseModel]]
    # Named as text: who plans a search need not import what trains candidates.
    trainer: ClassVar[str]
    # How candidates were judged, as a part of the page, and what generated data are.
    note: ClassVar[str]
    generated_words: ClassVar[str]

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """The searches to run: ASHA, and random search to compare it with."""
        return STRATEGIES if self.settings.random else STRATEGIES[:1]

    @property
    @abstractmethod
    def shares_samples(self) -> bool:
        """Whether samples that chose a candidate are tested elsewhere in the study."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the settings that decide, with those of the search, what a candidate is worth."""

    @abstractmethod
    def digest_code(self) -> str:
        """Return a hash of the code that trains the candidates."""

    def list_sample_columns(self) -> list[str]:
        """Return what candidates learn from the sample table, if not from all of it."""
        return []

    @abstractmethod
    def find_inputs(self, layout: Any) -> SearchInputs:
        """Return where the pieces of the study lie that candidates learn from."""

    @abstractmethod
    def write_overlay(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return an overlay with which the study runs the best candidate's ``values``."""


def name_search(plan: SearchPlan, strategy: Strategy, data_digest: str) -> str:
    """Name the Optuna study: what changes the value of a candidate changes the name.

    How many candidates there are, and how many workers, does not, so that a search can be
    continued with more of them.
    """
    counted = {"trials", "workers", "random", "storage", "heartbeat_s", "max_retries", "arm"}
    what = [
        plan.settings.model_dump(mode="json", exclude=counted),
        plan.describe(),
        data_digest,
    ]
    return f"{plan.study}-{strategy}-{digest_json(what)[:8]}"


def digest_samples(manifest: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return a hash of some columns of a sample table, whatever stands in the others.

    A column that is missing is left out; the training tells of it.
    """
    known = [column for column in columns if column in manifest]
    rows = manifest[["sample_id", *known]].sort_values("sample_id")
    return digest_text(rows.to_csv(index=False))
