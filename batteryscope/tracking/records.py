"""What is mirrored: runs as they should stand in MLflow."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batteryscope.core.safe_text import guard_csv
from batteryscope.provenance import digest_file, digest_files, digest_json

MetricValue = tuple[str, float, int]
"""Name, value and step (epoch) of one metric."""


def find_guarded(path: Path) -> bytes | None:
    """Return what MLflow gets instead of a file: a table whose texts no spreadsheet calculates.

    Returns
    -------
    bytes or None
        None: the file goes there as it is, since it is no CSV table or holds no such text.
    """
    if path.suffix != ".csv":
        return None
    content = path.read_bytes()
    guarded = guard_csv(content)
    return None if guarded == content else guarded


def _digest_artifact(path: Path) -> str:
    guarded = find_guarded(path)
    return digest_file(path) if guarded is None else hashlib.sha256(guarded).hexdigest()


@dataclass(frozen=True)
class DatasetRecord:
    """The identity of the data that a run used: ``use`` says what for, ``table`` lists its samples.

    ``profile`` is JSON.
    """

    name: str
    digest: str
    source: str
    profile: str
    table: Path | None = None
    use: str = "training"


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
    datasets: tuple[DatasetRecord, ...] = ()
    bundle: Path | None = None
    live_key: str | None = None
    started_ms: int = 0
    ended_ms: int = 0

    def digest(self) -> str:
        """Return the SHA-256 of everything that the run would say, files included."""
        bundle = self.bundle
        return digest_json(
            {
                "key": self.key,
                "name": self.name,
                "tags": dict(self.tags),
                "params": dict(self.params),
                "metrics": self.metrics,
                "artifacts": sorted(
                    (folder, path.name, _digest_artifact(path)) for path, folder in self.artifacts
                ),
                "datasets": [(d.name, d.digest, d.source, d.profile, d.use) for d in self.datasets],
                "bundle": bundle
                and digest_files((p for p in bundle.rglob("*") if p.is_file()), bundle),
            }
        )
