"""The program that applies a published model, whatever it judges."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import add_table_format, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(
        """Apply a published model: one row per picture; of scans one per slice and one per cell;
of tables one per row.

Example: predict_images.py --bundle models/cathode_state --images MY_IMAGES --out predictions.csv
Example: predict_table.py --bundle models/electrodes --table NEW.csv --domain nmc --out answer.csv

Both names are of the same program."""
    )
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument("--images", type=Path, help="folder of pictures or scans, or one of them")
    parser.add_argument("--table", type=Path, help="rows to predict (CSV, Excel or parquet)")
    parser.add_argument("--out", type=Path, help="table to write (default: a new predictions.csv)")
    parser.add_argument(
        "--answer-anyway",
        action="store_true",
        help="answer also what is unlike all that the models were trained on, with a note",
    )
    add_table_format(parser)
    rows = parser.add_argument_group("rows")
    rows.add_argument(
        "--domain", help="domain of all rows (default: what the column 'domain' says)"
    )
    pictures = parser.add_argument_group("pictures and scans")
    pictures.add_argument("--slices", help="FIRST:LAST:STEP of every scan (default: all)")
    pictures.add_argument(
        "--collector", choices=["bottom", "top"], help="of double-sided electrodes: where it is"
    )
    pictures.add_argument(
        "--covariates", type=Path, help="table of what the models are given beside pictures"
    )
    pictures.add_argument(
        "--sample-column", help="its column that names the files (default: as in training)"
    )
    pictures.add_argument("--batch-size", type=int, help="tiles at a time (default: 64)")
    pictures.add_argument(
        "--device", choices=["auto", "cpu", "gpu"], help="default: auto, a GPU if there is one"
    )
    return run_program(_predict, parser, argv, heavy=True)


def _predict(arguments: argparse.Namespace) -> None:
    from batteryscope.bundle.batch import Asked, answer_batch
    from batteryscope.config.table_format import TableFormat

    said = dict(vars(arguments))
    written = TableFormat(**{name: said.pop(name) for name in TableFormat.model_fields})
    del said["log"]
    answer_batch(Asked(written=written, **said))
