"""Where the classifiers of a study look: typical, misclassified and same tiles, arm by arm."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from batteryscope.config.evaluate import ExplainSettings
from batteryscope.config.preprocess import CtSlicesSettings
from batteryscope.core.progress import log, show_progress
from batteryscope.core.scale_bar import measure_tile_widths
from batteryscope.errors import ConfigError
from batteryscope.evaluation.predictions import read_predictions
from batteryscope.explain import polar_arm
from batteryscope.explain.arm import explain_tiles, sort_entries
from batteryscope.explain.same_tiles import SAME_TILES_NAME, explain_same_tiles
from batteryscope.explain.select import choose_same_tiles, choose_tiles
from batteryscope.planning.layout import PictureLayout
from batteryscope.readers.mask import GENERATED_MASKS
from batteryscope.tilestore import TileStore


@dataclass(frozen=True)
class ExplainedArm:
    """Where the pieces of one arm lie.

    Attributes
    ----------
    name
        Of the arm.
    fits
        Parts of its last stage.
    tiles, predictions, manifest
        Tile store; tables of the contract.
    masks
        Folder with what a person would look at, where there is one.
    cut
        How scans were cut, for averages around the core.
    """

    name: str
    fits: Sequence[Path]
    tiles: Path
    predictions: Path
    manifest: Path
    masks: Path | None = None
    cut: CtSlicesSettings | None = None


def explain_study(layout: PictureLayout, out: Path) -> None:
    """Explain all arms but those of a learning curve, a folder each.

    Raises
    ------
    InputError
        If a piece of the study is missing, or a mask does not fit its image.
    """
    settings = layout.plan.settings.explain
    for name in layout.plan.settings.arms:
        planned = layout.plan.arms[name]
        arm = ExplainedArm(
            name,
            layout.list_fits(name),
            layout.tiles(planned.tiles),
            layout.arm(name).predictions,
            layout.data.manifest,
            find_masks(layout),
            planned.recipe.preprocess.around_core,
        )
        explain_arm(arm, settings, out / name)


def find_masks(layout: PictureLayout) -> Path | None:
    """Return the folder of masks: the user's, or the one that generated SEM pictures bring."""
    dataset = layout.plan.settings.dataset
    if dataset.masks:
        return Path(dataset.masks)
    drawn = dataset.generator if dataset.generated else None
    has_own = drawn is not None and drawn.draws_masks
    return layout.find_dataset() / GENERATED_MASKS if has_own else None


def explain_arm(arm: ExplainedArm, settings: ExplainSettings, out: Path) -> None:
    """Choose tiles, explain them, write one picture each and the list of them.

    An arm whose network has no feature maps gets an empty list, and a warning is logged.
    """
    predictions = read_predictions(arm.predictions)
    manifest = pd.read_parquet(arm.manifest).set_index("sample_id")
    store = TileStore.open(arm.tiles)
    folders = sorted(fit for part in arm.fits for fit in part.glob("r*_f*"))
    records = [json.loads((f / "fit.json").read_text(encoding="utf-8")) for f in folders]
    fits = {(r["repeat"], r["fold"]): f for r, f in zip(records, folders, strict=True)}
    chosen = choose_tiles(predictions, settings.tiles_per_class, settings.misclassified_tiles)

    out.mkdir(parents=True, exist_ok=True)
    entries = []
    unrolls = arm.cut is not None and arm.cut.unrolls
    widths_um = {} if unrolls else measure_tile_widths(store.index, manifest.reset_index())
    pictures = explain_tiles(chosen, fits, store.tiles, manifest["path"], settings, widths_um)
    try:
        for entry, png in show_progress(
            pictures, f"explaining {arm.name}", total=len(chosen), unit="tile"
        ):
            (out / entry["file"]).write_bytes(png)
            entries.append(entry)
        same = choose_same_tiles(
            predictions,
            store.index,
            settings.same_images if arm.masks is None else len(manifest),
            1 if arm.masks is None else max(1, settings.mask_tiles),
        )
        table, shown = explain_same_tiles(same, fits, store.tiles, manifest, settings, arm.masks)
        table.round(6).to_csv(out / SAME_TILES_NAME, index=False)
        for name, png in shown.items():
            (out / name).write_bytes(png)
        if settings.polar_slices_per_class and arm.cut is not None:
            polar = polar_arm.average_polar_maps(
                predictions, manifest["specimen_id"], fits, store.tiles, arm.cut, settings
            )
            shape = polar_arm.measure_maps(fits, store.tiles)
            edge = arm.cut.half_edge_radii
            entries += polar_arm.write_polar_average(polar, edge, out, shape)
    except ConfigError as error:  # a backbone without feature maps still has its results
        log.warning("%s No maps are drawn for this arm.", error)
    text = json.dumps(sort_entries(entries), indent=1, ensure_ascii=False) + "\n"
    (out / "index.json").write_text(text, encoding="utf-8")
    n_wrong = sum(entry["kind"] == "misclassified" for entry in entries)
    log.info("%s: %d tiles explained, %d misclassified.", arm.name, len(entries), n_wrong)
