"""Apply a published model: one row per picture; of scans one per slice and one per cell.

Example: predict_images.py --bundle models/cathode_state --images MY_IMAGES --out predictions.csv
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log, show_progress
from batteryscope.workflow.command_line import add_table_format, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of pictures or scans, or one scan"
    )
    parser.add_argument("--slices", default="", help="FIRST:LAST:STEP of every scan (default: all)")
    parser.add_argument(
        "--collector", choices=["bottom", "top"], help="of double-sided electrodes: where it is"
    )
    parser.add_argument(
        "--covariates", type=Path, help="table of what the models are given beside pictures"
    )
    parser.add_argument(
        "--sample-column", help="its column that names the files (default: as in training)"
    )
    add_table_format(parser)
    parser.add_argument("--out", type=Path, help="table to write (default: a new predictions.csv)")
    parser.add_argument("--batch-size", type=int, default=64, help="tiles at a time")
    devices = ["auto", "cpu", "gpu"]
    parser.add_argument(
        "--device", choices=devices, default="auto", help="default: a GPU if there is one"
    )
    return run_program(predict, parser, argv, heavy=True)


def predict(arguments: argparse.Namespace) -> None:
    """Load the bundle once, then judge picture by picture."""
    from batteryscope.bundle.capacity_plot import draw_rates_beside
    from batteryscope.bundle.capacity_record import is_capacity_bundle, read_capacity_record
    from batteryscope.bundle.covariates import choose_source
    from batteryscope.bundle.open import open_bundle, refuse_collector
    from batteryscope.bundle.output import choose_table, write_rows
    from batteryscope.bundle.predict_scans import predict_folder
    from batteryscope.bundle.record import read_record
    from batteryscope.config.dataset import read_slices
    from batteryscope.config.table_format import TableFormat
    from batteryscope.errors import ConfigError, InputError
    from batteryscope.evaluation.forward import demand_device
    from batteryscope.readers.scan import scan_images

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size: found {arguments.batch_size}; give a number above 0.")
    arguments.out = choose_table(arguments.out)
    of_numbers = is_capacity_bundle(arguments.bundle)
    record = (read_capacity_record if of_numbers else read_record)(arguments.bundle)
    written = TableFormat(**{name: getattr(arguments, name) for name in TableFormat.model_fields})
    source = choose_source(arguments.covariates, arguments.sample_column, written, record)
    device = demand_device(arguments.device)
    if record.preprocess.method == "ct_slices":
        refuse_collector(arguments.collector, arguments.bundle)
        chosen = read_slices(arguments.slices, "--slices")
        model = open_bundle(arguments.bundle, device, arguments.batch_size)
        predict_folder(model, arguments.images, arguments.out, chosen, source)
        return
    found = scan_images(arguments.images)
    for file, words in found.foreign:
        log.info("%s: %s", file, words)
    if others := (*found.misnamed, *found.unsupported, *found.special):
        log.warning("%d files are no pictures, such as %s.", len(others), others[0])
    bundle = open_bundle(arguments.bundle, device, arguments.batch_size, arguments.collector)
    if source is not None:
        bundle.given = source.read(found.images, record.covariates)
    rows = bundle.answer_folder(found, arguments.images)
    n_files = len(found.images) + len(others)
    progress = show_progress(rows, "predicting", total=n_files, unit="image")
    summary = write_rows(arguments.out, bundle.columns, progress)
    for line in summary.describe():
        log.info("%s", line)
    if of_numbers and (plot := draw_rates_beside(arguments.bundle, arguments.out)):
        log.info("Capacities over the C-rate: %s", plot)
    if summary.n_rejected == summary.n_files:
        raise InputError(
            f"{arguments.images}: none of the {summary.n_files} images could be judged; the "
            f"reasons are in {arguments.out}, the first is: {summary.first_reason}"
        )


if __name__ == "__main__":
    sys.exit(main())
