"""Draw which parts of typical and misclassified test tiles a network goes by."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log, show_progress
from batteryscope.errors import ConfigError
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--arm", required=True, help="name of the arm")
    parser.add_argument("--settings", required=True, help="explain settings (JSON text or file)")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="parts of the stage")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of the tile store")
    parser.add_argument(
        "--predictions", type=Path, required=True, help="predictions of the arm (parquet)"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--masks", type=Path, help="folder of masks (see dataset.masks)")
    parser.add_argument("--preprocess", help="how scans were cut (JSON text or file)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    return run_program(explain, parser, argv, heavy=True)


def explain(arguments: argparse.Namespace) -> None:
    """Choose tiles, explain them, write one picture each and the list of them."""
    from batteryscope.config.evaluate import ExplainSettings

    settings = read_settings(ExplainSettings, arguments.settings)
    import pandas as pd

    from batteryscope.config.preprocess import CtSlicesSettings
    from batteryscope.evaluation.predictions import read_predictions
    from batteryscope.explain import polar_arm
    from batteryscope.explain.arm import explain_tiles, sort_entries
    from batteryscope.explain.same_tiles import SAME_TILES_NAME, explain_same_tiles
    from batteryscope.explain.select import choose_same_tiles, choose_tiles
    from batteryscope.tilestore import TileStore

    predictions = read_predictions(arguments.predictions)
    manifest = pd.read_parquet(arguments.manifest).set_index("sample_id")
    store = TileStore.open(arguments.tiles)
    folders = sorted(fit for part in arguments.fits for fit in part.glob("r*_f*"))
    records = [json.loads((f / "fit.json").read_text(encoding="utf-8")) for f in folders]
    fits = {(r["repeat"], r["fold"]): f for r, f in zip(records, folders, strict=True)}
    chosen = choose_tiles(predictions, settings.tiles_per_class, settings.misclassified_tiles)

    arguments.out.mkdir(parents=True, exist_ok=True)
    entries = []
    pictures = explain_tiles(chosen, fits, store.tiles, manifest["path"], settings)
    try:
        for entry, png in show_progress(
            pictures, f"explaining {arguments.arm}", total=len(chosen), unit="tile"
        ):
            (arguments.out / entry["file"]).write_bytes(png)
            entries.append(entry)
        masks = arguments.masks
        same = choose_same_tiles(
            predictions,
            store.index,
            settings.same_images if masks is None else len(manifest),
            1 if masks is None else max(1, settings.mask_tiles),
        )
        table, shown = explain_same_tiles(same, fits, store.tiles, manifest, settings, masks)
        table.round(6).to_csv(arguments.out / SAME_TILES_NAME, index=False)
        for name, png in shown.items():
            (arguments.out / name).write_bytes(png)
        if settings.polar_slices_per_class and arguments.preprocess:
            cut = read_settings(CtSlicesSettings, arguments.preprocess)
            polar = polar_arm.average_polar_maps(
                predictions, manifest["specimen_id"], fits, store.tiles, cut, settings
            )
            shape = polar_arm.measure_maps(fits, store.tiles)
            edge = cut.half_edge_radii
            entries += polar_arm.write_polar_average(polar, edge, arguments.out, shape)
    except ConfigError as error:  # a backbone without feature maps still has its results
        log.warning("%s No maps are drawn for this arm.", error)
    text = json.dumps(sort_entries(entries), indent=1, ensure_ascii=False) + "\n"
    (arguments.out / "index.json").write_text(text, encoding="utf-8")
    n_wrong = sum(entry["kind"] == "misclassified" for entry in entries)
    log.info("%s: %d tiles explained, %d misclassified.", arguments.arm, len(entries), n_wrong)


if __name__ == "__main__":
    sys.exit(main())
