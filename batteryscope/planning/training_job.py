"""What a training job is given, whatever it trains."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """Settings and files of one job.

    Attributes
    ----------
    settings
        JSON text or file: of a stage of an arm, or of a study of rows.
    manifest, split
        The samples, and who trains, validates and tests.
    out
        Folder to write.
    threads
        Processor cores for what trains all networks together.
    balance, tiles, state
        Of stages: on which tiles to train and how often, the tiles, and the folder that survives a
        kill.
    parents
        Of stages: the parts of the stage before.
    part
        Of stages: which share of the fits to train.
    make_listener
        Of stages: gets their settings and a fit, returns what is told of its epochs.
    """

    settings: str
    manifest: Path
    split: Path
    out: Path
    threads: int = 1
    balance: Path | None = None
    tiles: Path | None = None
    state: Path | None = None
    parents: tuple[Path, ...] = ()
    part: int = 0
    make_listener: Callable[[Any, Any], Any] | None = None
