"""Apply a published model: one row per picture; of scans one per slice and one per cell.

Example: predict_images.py --bundle models/cathode_state --images MY_IMAGES --out predictions.csv
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
    parser.add_argument(
        "--answer-anyway",
        action="store_true",
        help="answer also what is unlike all training images, with a note",
    )
    devices = ["auto", "cpu", "gpu"]
    parser.add_argument(
        "--device", choices=devices, default="auto", help="default: a GPU if there is one"
    )
    return run_program(predict, parser, argv, heavy=True)


def predict(arguments: argparse.Namespace) -> None:
    """Look what the model judges and what it is given, then ask it."""
    from batteryscope.bundle.covariates import choose_source
    from batteryscope.bundle.open import find_applier
    from batteryscope.bundle.output import choose_table
    from batteryscope.bundle.predict_pictures import Asked
    from batteryscope.config.table_format import TableFormat
    from batteryscope.core.named_function import load_function
    from batteryscope.errors import ConfigError
    from batteryscope.evaluation.forward import demand_device
    from batteryscope.samples.choose import samples_cut_by

    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size: found {arguments.batch_size}; give a number above 0.")
    out = choose_table(arguments.out)
    record = load_function(find_applier(arguments.bundle), "read_record")(arguments.bundle)
    written = TableFormat(**{name: getattr(arguments, name) for name in TableFormat.model_fields})
    asked = Asked(
        arguments.bundle,
        arguments.images,
        out,
        choose_source(arguments.covariates, arguments.sample_column, written, record),
        demand_device(arguments.device),
        arguments.batch_size,
        arguments.collector,
        arguments.slices,
        arguments.answer_anyway,
    )
    load_function(samples_cut_by(record.preprocess).modules.predict, "predict_images")(
        asked, record
    )


if __name__ == "__main__":
    sys.exit(main())
