"""Where the classifiers of a study look: typical, misclassified and same tiles, arm by arm."""

import json
from pathlib import Path

import pandas as pd

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


def explain_study(layout: PictureLayout, out: Path) -> None:
    """Explain all arms but those of a learning curve, a folder each.

    Raises
    ------
    InputError
        If a piece of the study is missing, or a mask does not fit its image.
    """
    for name in layout.plan.settings.arms:
        explain_arm(layout, name, out / name)


def find_masks(layout: PictureLayout) -> Path | None:
    """Return the folder of masks: the user's, or the one that generated SEM pictures bring."""
    dataset = layout.plan.settings.dataset
    if dataset.masks:
        return Path(dataset.masks)
    drawn = dataset.generator if dataset.generated else None
    has_own = drawn is not None and drawn.draws_masks
    return layout.find_dataset() / GENERATED_MASKS if has_own else None


def explain_arm(layout: PictureLayout, name: str, out: Path) -> None:
    """Choose tiles, explain them, write one picture each and the list of them.

    An arm whose network has no feature maps gets an empty list, and a warning is logged.
    """
    settings, arm = layout.plan.settings.explain, layout.plan.arms[name]
    masks, cut = find_masks(layout), arm.recipe.preprocess.around_core
    predictions = read_predictions(layout.arm(name).predictions)
    manifest = pd.read_parquet(layout.data.manifest).set_index("sample_id")
    store = TileStore.open(layout.tiles(arm.tiles))
    folders = sorted(fit for part in layout.list_fits(name) for fit in part.glob("r*_f*"))
    records = [json.loads((f / "fit.json").read_text(encoding="utf-8")) for f in folders]
    fits = {(r["repeat"], r["fold"]): f for r, f in zip(records, folders, strict=True)}
    chosen = choose_tiles(predictions, settings.tiles_per_class, settings.misclassified_tiles)

    out.mkdir(parents=True, exist_ok=True)
    entries = []
    unrolls = cut is not None and cut.unrolls
    widths_um = {} if unrolls else measure_tile_widths(store.index, manifest.reset_index())
    pictures = explain_tiles(chosen, fits, store.tiles, manifest["path"], settings, widths_um)
    try:
        for entry, png in show_progress(
            pictures, f"explaining {name}", total=len(chosen), unit="tile"
        ):
            (out / entry["file"]).write_bytes(png)
            entries.append(entry)
        same = choose_same_tiles(
            predictions,
            store.index,
            settings.same_images if masks is None else len(manifest),
            1 if masks is None else max(1, settings.mask_tiles),
        )
        table, shown = explain_same_tiles(same, fits, store.tiles, manifest, settings, masks)
        table.round(6).to_csv(out / SAME_TILES_NAME, index=False)
        for file, png in shown.items():
            (out / file).write_bytes(png)
        if settings.polar_slices_per_class and cut is not None:
            polar = polar_arm.average_polar_maps(
                predictions, manifest["specimen_id"], fits, store.tiles, cut, settings
            )
            shape = polar_arm.measure_maps(fits, store.tiles)
            edge = cut.half_edge_radii
            entries += polar_arm.write_polar_average(polar, edge, out, shape)
    except ConfigError as error:  # a backbone without feature maps still has its results
        log.warning("%s No maps are drawn for this arm.", error)
    text = json.dumps(sort_entries(entries), indent=1, ensure_ascii=False) + "\n"
    (out / "index.json").write_text(text, encoding="utf-8")
    n_wrong = sum(entry["kind"] == "misclassified" for entry in entries)
    log.info("%s: %d tiles explained, %d misclassified.", name, len(entries), n_wrong)
