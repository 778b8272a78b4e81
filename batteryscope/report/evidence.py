"""What a report is made from, read and in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.core.baseline_catalogue import OF_CLASSES, find_words

# Strategies beside the main one whose curves, maps and matrices a page shows: it is for reading.
OTHERS_SHOWN = 24


@dataclass(frozen=True)
class Explanation:
    """One attribution overlay: its PNG and what it shows.

    ``shows`` is ``class`` (a tile that was recognised), ``misclassified`` or ``polar`` (the mean of
    many, around the core of a cell).
    """

    file: str
    png: bytes
    title: str
    class_name: str
    shows: str
    y_true: str
    y_pred: str
    sample_id: str
    confidence: float | None
    map_shape: tuple[int, int] | None = None  # of the network's map before it was enlarged


@dataclass(frozen=True)
class Fit:
    """One trained network: its ``history.csv`` and ``fit.json``."""

    history: pd.DataFrame
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ArmEvidence:
    """What is known of one arm; empty where a piece is missing.

    ``same_tiles`` is the table of :mod:`batteryscope.explain.same_tiles`, ``same_pictures`` the
    pictures that it names.
    """

    name: str
    label: str
    calibration: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    explanations: tuple[Explanation, ...] = ()
    same_tiles: pd.DataFrame | None = None
    same_pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyEvidence:
    """All pieces of one study's report; None or empty where a piece is missing.

    Tables have the columns that ``docs/architecture.md`` fixes. ``tiles`` is the
    memory-mapped tile store, ``files`` the names of tables to copy beside the report
    with their content, ``data_hash`` identifies the pictures that were used. ``balance`` is that
    of the main arm's last stage, if it copies images of rare classes. ``cycling`` holds capacities
    over the cycles, ``places`` which curve, state and cycle every picture belongs to, and
    ``dataset_dir`` is where the paths of the manifest begin.
    """

    study: str
    settings: StudySettings
    generated: bool
    comparison: pd.DataFrame
    arms: Mapping[str, ArmEvidence]
    stages: Mapping[str, tuple[Fit, ...]]
    manifest: pd.DataFrame | None = None
    rejects: pd.DataFrame | None = None
    tile_index: pd.DataFrame | None = None
    tile_rejects: pd.DataFrame | None = None
    tiles: np.ndarray | None = None
    preview_png: bytes | None = None
    split: pd.DataFrame | None = None
    frames: pd.DataFrame | None = None
    balance: pd.DataFrame | None = None
    audit: Mapping[str, Any] = field(default_factory=dict)
    per_class: pd.DataFrame | None = None
    paired: pd.DataFrame | None = None
    confusion: pd.DataFrame | None = None
    misclassified: pd.DataFrame | None = None
    images: pd.DataFrame | None = None
    reliability: pd.DataFrame | None = None
    findings: tuple[Mapping[str, Any], ...] | None = None
    survey: pd.DataFrame | None = None
    external: pd.DataFrame | None = None
    sweeps: pd.DataFrame | None = None
    class_measures: pd.DataFrame | None = None
    shortcuts: pd.DataFrame | None = None
    confounding: pd.DataFrame | None = None
    confounding_counts: pd.DataFrame | None = None
    sets: pd.DataFrame | None = None
    risk: pd.DataFrame | None = None
    cells: pd.DataFrame | None = None
    cycling: pd.DataFrame | None = None
    places: pd.DataFrame | None = None
    dataset_dir: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    data_hash: str = ""
    commit: str = ""

    @property
    def main_arm(self) -> str:
        """The arm whose models are published."""
        return self.settings.best_known_arm

    @property
    def shown_arms(self) -> list[str]:
        """The main arm, and as many of the others as a page has room for, as configured."""
        return list(dict.fromkeys([self.main_arm, *self.settings.arms]))[: OTHERS_SHOWN + 1]

    @property
    def left_out(self) -> str:
        """Sentence for captions where strategies are left out; "" where all are shown."""
        several = len(self.settings.arms)
        shown = len(self.shown_arms)
        return f" Of {several} strategies, {shown} are shown." if shown < several else ""

    def label_of(self, arm: str) -> str:
        """How the report calls an arm or a baseline."""
        if arm.startswith("baseline_"):
            return find_words(arm, OF_CLASSES).label
        if arm in self.arms:
            return self.arms[arm].label
        if arm in self.settings.mismatched_arms:
            base, grey_levels = self.settings.mismatched_arms[arm]
            return f"{self.label_of(base)}, tested with '{grey_levels}' grey levels"
        known = self.settings.all_arms.get(arm)
        return (known.label if known else "") or arm.replace("_", " ")
