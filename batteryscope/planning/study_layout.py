"""Where the pieces lie that have a place of their own below ``work/<study>``, whatever the plan."""

from dataclasses import dataclass
from pathlib import Path

from batteryscope.planning.piece_layouts import (
    ArmLayout,
    DatasetLayout,
    SearchLayout,
    SplitLayout,
)

# The only folders outside of work/ that the workflow writes to; DVC versions them.
MODELS, REPORTS = Path("models"), Path("reports")


@dataclass(frozen=True)
class StudyLayout:
    """The pieces of any study; a root that is a pattern gives patterns of Snakemake's rules.

    Parameters
    ----------
    root
        ``work/<study>``.
    """

    root: Path

    def dataset(self, source: str) -> DatasetLayout:
        """The data set (``data``) or the external one (``external``)."""
        return DatasetLayout(self.root / source)

    @property
    def data(self) -> DatasetLayout:
        """The study's own data set."""
        return self.dataset("data")

    @property
    def settings(self) -> Path:
        """Files with the settings of jobs, named after their content."""
        return self.root / "settings"

    def log(self, job: str) -> Path:
        """The log of a job."""
        return self.root / "logs" / f"{job}.log"

    def benchmark(self, job: str) -> Path:
        """What a job used."""
        return self.root / "benchmarks" / f"{job}.tsv"

    @property
    def capacities(self) -> Path:
        """The table of the half-cell model."""
        return self.root / "physics" / "capacities.csv"

    def tiles(self, tiles: str) -> Path:
        """A tile store."""
        return self.root / "tiles" / tiles

    def split(self, split: str = "") -> SplitLayout:
        """A division; rows have one that needs no name."""
        return SplitLayout(self.root / "splits" / split)

    def check(self, check: str) -> Path:
        """The proof that a network, its weights and the devices can be had."""
        return self.root / "checks" / f"{check}.json"

    def balance(self, balance: str) -> Path:
        """On which tiles a stage trains, and how often."""
        return self.root / "balance" / f"{balance}.parquet"

    def stage(self, chain: str) -> Path:
        """A trained stage."""
        return self.root / "stages" / chain

    def stage_part(self, chain: str, part: int | str) -> Path:
        """A share of its finished fits."""
        return self.stage(chain) / f"part{part}"

    def state(self, name: str) -> Path:
        """What survives a killed job; no rule declares it."""
        return self.root / "state" / name

    def baselines(self, split: str) -> Path:
        """Predictions of the baselines of one division."""
        return self.root / "baselines" / split / "predictions.parquet"

    def shortcuts(self, split: str) -> Path:
        """Predictions by what may stand in for the class, for the shortcut audit."""
        return self.root / "baselines" / split / "shortcuts.parquet"

    @property
    def predicted(self) -> Path:
        """What the arms predict, a folder each."""
        return self.root / "predicted"

    def mismatched(self, arm: str) -> Path:
        """Predictions of test tiles that are otherwise than those that the arm was trained with."""
        return self.root / "mismatched" / arm / "predictions.parquet"

    @property
    def networks(self) -> Path:
        """All networks of a study of rows."""
        return self.root / "networks"

    @property
    def comparison(self) -> Path:
        """Tables and findings of the comparison."""
        return self.root / "comparison"

    @property
    def explained(self) -> Path:
        """What the networks of all arms look at."""
        return self.root / "explained"

    @property
    def proposals(self) -> Path:
        """Proposed settings of the process."""
        return self.root / "proposals"

    @property
    def sweep_comparison(self) -> Path:
        """The points of all sweeps, compared."""
        return self.root / "sweeps" / "comparison"

    @property
    def sweep_tracked(self) -> Path:
        """What of them was recorded in MLflow."""
        return self.root / "sweeps" / "tracked.json"

    def sweep_split(self, split: str) -> SplitLayout:
        """A division of rows that only points of a sweep use."""
        return SplitLayout(self.root / "sweeps" / "splits" / split)

    def sweep_predicted(self, arm: str) -> ArmLayout:
        """A point of a sweep whose capacities were predicted."""
        return ArmLayout(self.root / "sweeps" / "predicted" / arm)

    def sweep_networks(self, arm: str) -> Path:
        """The networks of a point of a sweep."""
        return self.root / "sweeps" / "networks" / arm

    @property
    def search(self) -> SearchLayout:
        """The search for settings."""
        return SearchLayout(self.root / "search")

    @property
    def bundle(self) -> Path:
        """The models, ready for new data."""
        return self.root / "bundle"

    @property
    def report(self) -> Path:
        """Page, figures and tables."""
        return self.root / "report"

    @property
    def tracked(self) -> Path:
        """What was recorded in MLflow."""
        return self.root / "tracked.json"

    @property
    def published(self) -> Path:
        """What was copied to :data:`MODELS` and :data:`REPORTS`."""
        return self.root / "published.json"
