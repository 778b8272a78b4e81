"""What is mirrored: runs as they should stand in MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batteryscope.provenance import digest_file, digest_files, digest_json

MetricValue = tuple[str, float, int]
"""Name, value and step (epoch) of one metric."""


@dataclass(frozen=True)
class DatasetRecord:
    """The identity of the data that a run used."""

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True)
class RunRecord:
    """One run as it should stand in MLflow; ``key`` names it within its study.

    ``artifacts`` are pairs of a local file and its folder in the run. Times are in
    milliseconds since 1970 and not part of the content.
    """

    key: str
    parent: str | None
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[MetricValue, ...] = ()
    artifacts: tuple[tuple[Path, str], ...] = ()
    dataset: DatasetRecord | None = None
    bundle: Path | None = None
    live_key: str | None = None
    started_ms: int = 0
    ended_ms: int = 0

    def digest(self) -> str:
        """Return the SHA-256 of everything that the run would say, files included."""
        dataset = self.dataset
        bundle = self.bundle
        return digest_json(
            {
                "key": self.key,
                "name": self.name,
                "tags": dict(self.tags),
                "params": dict(self.params),
                "metrics": self.metrics,
                "artifacts": sorted(
                    (folder, path.name, digest_file(path)) for path, folder in self.artifacts
                ),
                "dataset": dataset and [dataset.name, dataset.digest, dataset.source],
                "bundle": bundle
                and digest_files((p for p in bundle.rglob("*") if p.is_file()), bundle),
            }
        )
