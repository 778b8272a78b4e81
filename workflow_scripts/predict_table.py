"""Apply the published model of a table study to new rows: one row per row.

Example: predict_table.py --bundle models/electrodes --table NEW.csv --domain nmc --out answer.csv
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.core.safe_text import guard_table
from batteryscope.workflow.command_line import add_table_format, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument(
        "--table", type=Path, required=True, help="rows to predict (CSV, Excel or parquet)"
    )
    parser.add_argument(
        "--domain", help="domain of all rows (default: what the column 'domain' says)"
    )
    parser.add_argument(
        "--answer-anyway",
        action="store_true",
        help="answer also what is unlike all training rows, with a note",
    )
    add_table_format(parser)
    parser.add_argument("--out", type=Path, required=True, help="table to write (.csv)")
    return run_program(predict, parser, argv)


def predict(arguments: argparse.Namespace) -> None:
    """Read the table, ask the models, write."""
    from batteryscope.bundle.unlike import UNLIKE, describe_caution
    from batteryscope.config.table_format import TableFormat
    from batteryscope.errors import InputError
    from batteryscope.tables.bundle import load_table_bundle
    from batteryscope.tables.bundle_card import name_better_baselines, tell_unguarded_domains
    from batteryscope.tables.predict_query import predict_query, read_query

    bundle = load_table_bundle(arguments.bundle)
    written = TableFormat(**{name: getattr(arguments, name) for name in TableFormat.model_fields})
    query = read_query(arguments.table, bundle.record, arguments.domain, written)
    known = bundle.familiarity
    for line in describe_caution(bundle.record.data, known is not None, "rows"):
        log.warning(line)
    if unguarded := tell_unguarded_domains(bundle.record):
        log.warning(unguarded)
    answer = predict_query(query, bundle.record, bundle.ensemble, known, arguments.answer_anyway)
    partial = arguments.out.with_name(arguments.out.name + ".partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        guard_table(answer).to_csv(partial, index=False, lineterminator="\n")
        partial.replace(arguments.out)
    except OSError as error:
        raise InputError(
            f"{arguments.out}: cannot be written ({error.strerror}); choose another place."
        ) from None

    rejected = answer[answer["status"] == "rejected"]
    unlike = answer[answer["status"] == UNLIKE]
    n_answered = len(answer) - len(rejected) - len(unlike)
    log.info("%d of %d rows predicted.", n_answered, len(answer))
    for sentence in name_better_baselines(bundle.record):
        log.warning(sentence)
    firsts = [
        f"line {p['row'].iloc[0]}: {p['reason'].iloc[0]}" for p in (rejected, unlike) if len(p)
    ]
    if len(rejected):
        log.warning("%d rejected (the first: %s).", len(rejected), firsts[0])
    if len(unlike):
        told = "%d not answered, since they are unlike the training rows (the first: %s); "
        log.warning(told + "--answer-anyway answers them all the same.", len(unlike), firsts[-1])
    if noted := int((answer["note"] != "").sum()):
        unusual = "outside the training ranges or impossible"
        if arguments.answer_anyway:
            unusual = "outside the training ranges, impossible, or unlike the training rows"
        log.warning("%d are %s (see 'note').", noted, unusual)
    if not n_answered:
        first = "; the first unlike the training: ".join(firsts)
        raise InputError(
            f"{arguments.table}: none of the {len(answer)} rows could be predicted; the reasons "
            f"are in {arguments.out}, the first is {first}."
        )


if __name__ == "__main__":
    sys.exit(main())
