"""Tabulate a data set: one row per usable image, and a list of the rest with reasons."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.core.safe_text import guard_table
from batteryscope.workflow.command_line import make_parser, run_program

MAX_LISTED_REJECTS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the images")
    parser.add_argument("--settings", required=True, help="data set settings as JSON text or file")
    parser.add_argument(
        "--simulated", type=Path, help="capacities of the half-cell model (CSV), as labels"
    )
    parser.add_argument("--physics", help="half cell that they describe (JSON text or file)")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="sample table (parquet) to write"
    )
    parser.add_argument(
        "--rejects", type=Path, required=True, help="list of rejects (CSV) to write"
    )
    parser.add_argument(
        "--frames", type=Path, required=True, help="measurements per frame (parquet) to write"
    )
    parser.add_argument("--summary", type=Path, required=True, help="summary (JSON) to write")
    return run_program(_ingest, parser, argv)


def _ingest(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from batteryscope.config.dataset import DatasetSettings
    from batteryscope.config.physics import HalfCellSettings
    from batteryscope.core.counted import count_of
    from batteryscope.manifest.build import build_manifest
    from batteryscope.manifest.computed_targets import HalfCellLaw
    from batteryscope.manifest.frames import write_frames
    from batteryscope.manifest.schema import NOTED_REASONS, write_manifest
    from batteryscope.manifest.summary import summarise_manifest
    from batteryscope.readers.scan import scan_images
    from batteryscope.readers.volumes import find_volumes

    settings = read_settings(DatasetSettings, arguments.settings)
    find_files = scan_images if settings.volumes is None else find_volumes
    files = find_files(arguments.dataset)
    law = None
    if arguments.simulated is not None and arguments.physics is not None:
        cell = read_settings(HalfCellSettings, arguments.physics)
        law = HalfCellLaw(pd.read_csv(arguments.simulated), cell)
    manifest, rejects, frames = build_manifest(files, settings, arguments.dataset, law)
    quantities = settings.targets.names if settings.targets is not None else []
    summary = summarise_manifest(manifest, rejects, settings.labels.columns, quantities)

    for path in (arguments.rejects, arguments.summary):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, arguments.manifest)
    write_frames(frames, arguments.frames)
    guard_table(rejects).to_csv(arguments.rejects, index=False)
    text = json.dumps(summary, ensure_ascii=False, indent=1)
    arguments.summary.write_text(text + "\n", encoding="utf-8")

    is_note = rejects["reason"].isin(NOTED_REASONS)
    for word, listed in (("rejects", rejects[~is_note]), ("notes", rejects[is_note])):
        for row in listed.head(MAX_LISTED_REJECTS).itertuples():
            log.warning("%s: %s (%s)", row.path, row.detail, row.reason)
        if len(listed) > MAX_LISTED_REJECTS:
            further = len(listed) - MAX_LISTED_REJECTS
            log.warning("… and %d more %s, see %s", further, word, arguments.rejects)
    if settings.targets is not None and settings.targets.computed:
        log.warning("The capacities are computed by the half-cell model, not measured.")
    log.info(
        "%s in %s, %d rejected",
        count_of(summary["images"], "image" if settings.volumes is None else "slice"),
        count_of(len(summary["classes"]), "class", "classes"),
        summary["rejected"],
    )


if __name__ == "__main__":
    sys.exit(main())
