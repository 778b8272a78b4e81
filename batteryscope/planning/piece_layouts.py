"""Where the files of one piece of a study lie: of a data set, a division, an arm, a search."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DatasetLayout:
    """A data set that was read: its own, or the external one with what a bundle says of it."""

    root: Path

    @property
    def images(self) -> Path:
        """Generated pictures."""
        return self.root / "images"

    @property
    def table(self) -> Path:
        """Folder of the generated table."""
        return self.root / "table"

    @property
    def manifest(self) -> Path:
        """The samples."""
        return self.root / "manifest.parquet"

    @property
    def frames(self) -> Path:
        """Measurements and thumbnails of pictures."""
        return self.root / "frames.parquet"

    @property
    def rejects(self) -> Path:
        """What could not be read, and why."""
        return self.root / "rejects.csv"

    @property
    def summary(self) -> Path:
        """Counts and the hash of the manifest."""
        return self.root / "summary.json"

    @property
    def predictions(self) -> Path:
        """What the bundle predicts for an external data set."""
        return self.root / "predictions.csv"

    @property
    def metrics(self) -> Path:
        """Scores of these predictions."""
        return self.root / "metrics.csv"

    @property
    def flat_metrics(self) -> Path:
        """The same as names and numbers."""
        return self.root / "metrics.json"


@dataclass(frozen=True)
class SplitLayout:
    """One division of the samples."""

    root: Path

    @property
    def roles(self) -> Path:
        """Who trains, who validates, who tests."""
        return self.root / "split.parquet"

    @property
    def audit(self) -> Path:
        """What the search for leaks found."""
        return self.root / "audit.json"


@dataclass(frozen=True)
class ArmLayout:
    """What is known of one arm after its training."""

    root: Path

    @property
    def predictions(self) -> Path:
        """Predictions of validation and test samples."""
        return self.root / "predictions.parquet"

    @property
    def calibration(self) -> Path:
        """The temperature that fits confidence to accuracy."""
        return self.root / "calibration.json"

    @property
    def cost(self) -> Path:
        """Parameters and times."""
        return self.root / "cost.json"


@dataclass(frozen=True)
class SearchLayout:
    """A search for settings."""

    root: Path

    @property
    def database(self) -> Path:
        """The candidates, unless they are stored elsewhere; no rule deletes it."""
        return self.root / "candidates.db"

    @property
    def reached(self) -> Path:
        """The proof that a database of the user's own was reached."""
        return self.root / "reached.json"

    @property
    def summary(self) -> Path:
        """Tables and page of the search."""
        return self.root / "summary"

    @property
    def tracked(self) -> Path:
        """What was recorded in MLflow."""
        return self.root / "tracked.json"

    def created(self, strategy: str) -> Path:
        """The proof that the candidates of a strategy can be asked for."""
        return self.root / strategy / "created.json"

    def worker(self, strategy: str, worker: int | str) -> Path:
        """What one worker did."""
        return self.root / strategy / f"worker{worker}.json"
