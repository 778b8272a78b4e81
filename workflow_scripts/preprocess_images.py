"""Cut all images of a data set into tiles and store them in one memory-mapped array."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program

if TYPE_CHECKING:
    from batteryscope.config.preprocess import PreprocessSettings

MAX_LISTED_REJECTS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the images")
    parser.add_argument("--settings", required=True, help="preprocessing as JSON text or file")
    parser.add_argument("--split", default="{}", help="how the images will be divided, likewise")
    parser.add_argument("--max-pixels", type=int, required=True, help="largest width × height")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tile store to write")
    return run_program(_preprocess, parser, argv)


def _preprocess(arguments: argparse.Namespace) -> None:
    from batteryscope.config.split import SplitSettings
    from batteryscope.core.plural import count_of
    from batteryscope.manifest.schema import read_manifest
    from batteryscope.preprocess.dataset_cutters import describe_rejects, find_dataset_cutter
    from batteryscope.samples.choose import samples_in

    settings = _read_preprocess_settings(arguments.settings)
    manifest = read_manifest(arguments.manifest)
    index, rejects = find_dataset_cutter(settings, read_settings(SplitSettings, arguments.split))(
        manifest, arguments.dataset, settings, arguments.out, arguments.max_pixels
    )
    lines = describe_rejects(rejects, manifest)
    for line in lines[:MAX_LISTED_REJECTS]:
        log.warning("%s", line)
    if len(lines) > MAX_LISTED_REJECTS:
        further = len(lines) - MAX_LISTED_REJECTS
        log.warning("… and %d more like these, see %s", further, arguments.out / "rejects.csv")
    noun = samples_in(manifest.columns).noun
    log.info(
        "%s of %s, %s left out, %s rejected",
        count_of(int(index["used"].sum()), "tile"),
        count_of(index["sample_id"].nunique(), noun),
        count_of(int((~index["used"]).sum()), "tile"),
        count_of(len(rejects), noun),
    )


def _read_preprocess_settings(text: str) -> "PreprocessSettings":
    from batteryscope.config.preprocess import NamedPreprocess

    if not text.lstrip().startswith("{"):
        text = Path(text).read_text(encoding="utf-8")
    return read_settings(NamedPreprocess, f'{{"preprocess": {text}}}').preprocess


if __name__ == "__main__":
    sys.exit(main())
