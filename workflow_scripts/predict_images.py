"""Apply a published model to pictures (a row per picture) or scans (per slice and per cell).

Example: predict_images.py --bundle models/cathode_state --images MY_IMAGES --out predictions.csv
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.command_line import log, make_parser, run_program, show_progress

if TYPE_CHECKING:
    from batteryscope.bundle.predict import Bundle
    from batteryscope.config.dataset import VolumeSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of pictures or scans, or one scan"
    )
    parser.add_argument(
        "--slices", default="0::1", metavar="FIRST:LAST:STEP", help="of every scan (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--batch-size", type=int, default=64, help="tiles at a time")
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "gpu"],
        default="auto",
        help="where to compute (default: a GPU if there is one)",
    )
    return run_program(predict, parser, argv)


def predict(arguments: argparse.Namespace) -> None:
    """Load the bundle once, then judge picture by picture."""
    from batteryscope.bundle.output import write_rows
    from batteryscope.bundle.record import read_record
    from batteryscope.config.preprocess import CtSlicesSettings
    from batteryscope.errors import ConfigError, InputError
    from batteryscope.manifest.scan import scan_images

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size: found {arguments.batch_size}; give a number above 0.")
    preprocess = read_record(arguments.bundle).preprocess
    if isinstance(preprocess, CtSlicesSettings):
        predict_cells(arguments)
        return
    found = scan_images(arguments.images)
    if others := (*found.misnamed, *found.unsupported):
        log.warning("%d files are no pictures, such as %s.", len(others), others[0])
    bundle = load_models(arguments)
    rows = chain(
        bundle.predict_files(found.images, arguments.images),
        bundle.reject_files(found.unsupported, "unsupported: this file type is no picture"),
        bundle.reject_files(found.misnamed, "unreadable: the name is not valid UTF-8; rename it"),
    )
    n_files = len(found.images) + len(others)
    progress = show_progress(rows, "predicting", total=n_files, unit="image")
    summary = write_rows(arguments.out, bundle.columns, progress)
    for line in summary.describe():
        log.info("%s", line)
    if summary.n_rejected == summary.n_files:
        raise InputError(
            f"{arguments.images}: none of the {summary.n_files} images could be judged; the "
            f"reasons are in {arguments.out}, the first is: {summary.first_reason}"
        )


def predict_cells(arguments: argparse.Namespace) -> None:
    """Judge scan by scan: a row per slice, then one per cell."""
    from batteryscope.bundle.output import write_rows
    from batteryscope.bundle.predict_scans import list_columns, predict_scans
    from batteryscope.errors import InputError
    from batteryscope.readers.volumes import find_volumes

    chosen = read_slices(arguments.slices)
    path = arguments.images
    found = find_volumes(path)
    root = path.parent if path.is_file() else path
    if found.unsupported:
        log.warning(
            "%d files are no scans, such as %s.", len(found.unsupported), found.unsupported[0]
        )
    bundle = load_models(arguments)
    rows = show_progress(predict_scans(bundle, found.images, root, chosen), "predicting")
    summary = write_rows(arguments.out, list_columns(bundle), rows)
    for line in summary.describe():
        log.info("%s", line)
    if summary.n_rejected == summary.n_files:
        raise InputError(
            f"{path}: no slice of any scan could be judged; the reasons are in {arguments.out}, "
            f"the first is: {summary.first_reason}"
        )


def load_models(arguments: argparse.Namespace) -> "Bundle":
    """Load the bundle onto the wanted device."""
    from batteryscope.bundle.read import load_bundle
    from batteryscope.errors import ConfigError
    from batteryscope.evaluation.forward import choose_device

    device = choose_device(arguments.device)
    if arguments.device == "gpu" and device.type == "cpu":
        raise ConfigError(
            "--device: found 'gpu', but there is none that torch can use; say 'auto'."
        )
    return load_bundle(arguments.bundle, device, arguments.batch_size)


def read_slices(text: str) -> "VolumeSettings":
    """Read ``FIRST:LAST:STEP``, both ends included; an empty part is the default."""
    from batteryscope.config.base import validate_settings
    from batteryscope.config.dataset import VolumeSettings

    names = ("first", "last", "step")
    values = {n: v for n, v in zip(names, text.split(":"), strict=False) if v}
    return validate_settings(VolumeSettings, values, "--slices")


if __name__ == "__main__":
    sys.exit(main())
