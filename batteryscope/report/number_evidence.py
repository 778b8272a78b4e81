"""What the report of a study of predicted numbers is made from, read and in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.predicted import ClassWords, Quantity, choose_outputs
from batteryscope.config.study import StudySettings
from batteryscope.evaluation.number_metrics import CURVE_COLUMNS, find_quantity
from batteryscope.plan import StudyPlan
from batteryscope.planning.layout import PictureLayout
from batteryscope.report.read_pieces import (
    TEXT_COLUMNS,
    add_external_files,
    read_files,
    read_json,
    read_needed_table,
    read_table,
)
from batteryscope.tilestore import PREVIEW_ROW_NAME

NUMBERS = ("y_true", "y_pred")  # which are classes in other studies
TEXTS = (
    *(c for c in TEXT_COLUMNS if c not in NUMBERS),
    "specimen_id",
    "role",
    "unit",
    "method",
    "region",
    "first",
    "second",
)
COPIED = (
    "comparison.csv", "metrics.json", "curves.csv", "intervals.csv", "coverage_by_porosity.csv",
    "findings.json", "shortcuts.csv", "confounding.csv", "confounding_means.csv",
)  # fmt: skip
EXPLAINED = ("shares.csv", "agreement.csv", "cost.csv")


@dataclass(frozen=True)
class ArmMaps:
    """Maps of one arm: tiles (n, H, W), maps by method (n, n_outputs, H, W), and their names.

    ``truth`` (n, n_outputs) are the true values; None where only their class counts. ``samples``
    are the images that the tiles come from.
    """

    targets: list[str]
    classes: list[str]
    tiles: NDArray[np.uint8]
    maps: dict[str, NDArray[np.float16]]
    truth: NDArray[np.float64] | None = None
    samples: Sequence[str] = ()


@dataclass(frozen=True)
class NumberEvidence:
    """All pieces of the report; None or empty where one is missing."""

    study: str
    settings: StudySettings
    plan: StudyPlan
    comparison: pd.DataFrame
    curves: pd.DataFrame
    intervals: pd.DataFrame
    images: pd.DataFrame
    manifest: pd.DataFrame
    findings: tuple[Mapping[str, Any], ...]
    rejects: pd.DataFrame | None
    tile_rejects: pd.DataFrame | None
    preview: bytes | None
    audit: Mapping[str, Any]
    costs: Mapping[str, Mapping[str, Any]]
    histories: Mapping[str, list[pd.DataFrame]]
    maps: Mapping[str, ArmMaps]
    shares: pd.DataFrame | None
    agreement: pd.DataFrame | None
    map_cost: pd.DataFrame | None
    files: Mapping[str, bytes]
    data_hash: str
    commit: str
    sweeps: pd.DataFrame | None = None
    external: pd.DataFrame | None = None
    external_rows: pd.DataFrame | None = None
    frames: pd.DataFrame | None = None
    split: pd.DataFrame | None = None
    shortcuts: pd.DataFrame | None = None
    confounding: pd.DataFrame | None = None
    dataset_dir: Path | None = None

    @property
    def generated(self) -> bool:
        """Whether a program made the pictures."""
        return self.settings.dataset.path is None

    @property
    def truth(self) -> str:
        """Where the capacities come from, in a word: ``measured`` or ``computed``."""
        return "computed" if self.settings.dataset.computes_targets else "measured"

    @property
    def external_truth(self) -> str:
        """The same of the external data set; empty without one."""
        external = self.settings.external
        if external is None:
            return ""
        return "computed" if external.computes_targets else "measured"

    @property
    def quantities(self) -> list[Quantity]:
        """What is predicted."""
        return self.settings.dataset.quantities

    @property
    def points(self) -> list[Quantity]:
        """Those that are points of a curve."""
        return [quantity for quantity in self.quantities if quantity.curve]

    @property
    def singles(self) -> list[Quantity]:
        """Those that are not."""
        return [quantity for quantity in self.quantities if not quantity.curve]

    @property
    def axis(self) -> str:
        """What the curves run over; empty without any."""
        return next((quantity.axis for quantity in self.points), "")

    @property
    def words(self) -> ClassWords:
        """What the classes of the samples are called."""
        return self.settings.dataset.targets.class_words

    @property
    def specimen(self) -> str:
        """What a thing is called of which there may be several samples."""
        return self.settings.dataset.targets.specimen

    def quantity(self, name: str) -> Quantity:
        """Return the quantity of that name."""
        return find_quantity(name, self.quantities)

    def outputs(self, arm: str) -> list[Quantity]:
        """Return what an arm predicts."""
        return choose_outputs(self.quantities, self.plan.arms[arm].recipe.model.outputs)

    def points_of(self, arm: str) -> list[Quantity]:
        """Return the points of curves that an arm predicts."""
        return [quantity for quantity in self.outputs(arm) if quantity.curve]

    @property
    def main_arm(self) -> str:
        """The arm whose numbers are told first."""
        return self.plan.main.name

    def label(self, arm: str) -> str:
        """Return how an arm is called in the report."""
        return self.plan.arms[arm].label if arm in self.plan.arms else arm.replace("_", " ")


def collect_number_evidence(layout: PictureLayout, commit: str = "") -> NumberEvidence:
    """Read everything that the report shows.

    Raises
    ------
    InputError
        If the comparison is missing or a file cannot be read.
    """
    tables = {
        name: read_needed_table(layout.comparison / f"{name}.csv", TEXTS)
        for name in ("comparison", "intervals", "images")
    }
    curves = read_table(layout.comparison / "curves.csv", TEXTS)
    if curves is None:  # quantities without an axis make none
        curves = pd.DataFrame(columns=CURVE_COLUMNS)
    tables["curves"] = curves
    plan, maps, tiles = layout.plan, layout.explained, layout.main_tiles
    summary = read_json(layout.data.summary) or {}
    preview = tiles / PREVIEW_ROW_NAME
    files = read_files(layout.comparison, COPIED) | read_files(maps, EXPLAINED)
    files = add_external_files(files, layout.external)
    external = external_rows = sweeps = None
    if layout.external is not None:
        external = read_table(layout.external.metrics, TEXTS)
        external_rows = read_table(layout.external.predictions, TEXTS)
    if layout.sweeps is not None:
        sweeps = read_table(layout.sweeps / "sweeps.csv")
        files |= read_files(layout.sweeps, ("sweeps.csv",))
    return NumberEvidence(
        study=plan.study,
        settings=plan.settings,
        plan=plan,
        **tables,
        manifest=pd.read_parquet(layout.data.manifest),
        findings=tuple(read_json(layout.comparison / "findings.json") or ()),
        rejects=read_table(layout.data.rejects, TEXTS),
        tile_rejects=read_table(tiles / "rejects.csv", TEXTS),
        preview=preview.read_bytes() if preview.is_file() else None,
        audit=read_json(layout.main_split.audit) or {},
        costs={arm: read_json(layout.arm(arm).cost) or {} for arm in plan.arms},
        histories={
            arm: _read_histories(layout.stage(plan.arms[arm].chains[-1])) for arm in plan.arms
        },
        maps={arm: m for arm in plan.arms if (m := _read_maps(maps, arm)) is not None},
        shares=read_table(maps / "shares.csv", TEXTS),
        agreement=read_table(maps / "agreement.csv", TEXTS),
        map_cost=read_table(maps / "cost.csv", TEXTS),
        files=files,
        data_hash=str(summary.get("manifest_hash", "")),
        commit=commit,
        sweeps=sweeps,
        external=external,
        external_rows=external_rows,
        frames=read_table(layout.data.frames),
        split=read_table(layout.main_split.roles),
        shortcuts=read_table(layout.comparison / "shortcuts.csv", TEXTS),
        confounding=read_table(layout.comparison / "confounding.csv", TEXTS),
        dataset_dir=layout.find_dataset(),
    )


def _read_histories(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(path) for path in sorted(folder.glob("part*/r*_f*/history.csv"))]


def _read_maps(folder: Path, arm: str) -> ArmMaps | None:
    described = read_json(folder / f"{arm}.json")
    if described is None:
        return None
    with np.load(folder / f"{arm}.npz") as arrays:
        maps = {name: arrays[name] for name in arrays.files if name != "tiles"}
        tiles = arrays["tiles"]
    classes = [str(tile["class"]) for tile in described["tiles"]]
    targets = [str(t) for t in described["targets"]]
    truth = None
    if all("values" in tile for tile in described["tiles"]):
        truth = np.array([[tile["values"][t] for t in targets] for tile in described["tiles"]])
    samples = [str(tile["sample_id"]) for tile in described["tiles"]]
    return ArmMaps(targets, classes, tiles, maps, truth, samples)
