"""What reading a data set gives, whatever its samples are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.core.safe_text import guard_table
from batteryscope.manifest.frames import write_frames
from batteryscope.manifest.schema import write_manifest


@dataclass(frozen=True)
class Ingested:
    """The tables of a data set, and what is told of it.

    Attributes
    ----------
    manifest, rejects
        Tables of the contract.
    summary
        Content of ``summary.json``.
    listed
        By word (``rejects``, ``notes``): a line for each.
    warnings
        Further sentences.
    sentence
        What was read, in words.
    frames
        Measurements of pictures.
    """

    manifest: pd.DataFrame
    rejects: pd.DataFrame
    summary: Mapping[str, Any]
    listed: Mapping[str, Sequence[str]]
    warnings: Sequence[str]
    sentence: str
    frames: pd.DataFrame | None = None

    def write(self, manifest: Path, rejects: Path, summary: Path, frames: Path | None) -> None:
        """Write the tables and the summary to these files."""
        for path in (rejects, summary):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(self.manifest, manifest)
        if self.frames is not None and frames is not None:
            write_frames(self.frames, frames)
        guard_table(self.rejects).to_csv(rejects, index=False)
        text = json.dumps(self.summary, ensure_ascii=False, indent=1)
        summary.write_text(text + "\n", encoding="utf-8")
