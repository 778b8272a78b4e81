"""Predictions of a published model for a table of rows: a row per row."""

from batteryscope.bundle.batch import Asked, Batch
from batteryscope.bundle.output import Judged, Summary
from batteryscope.bundle.unlike import describe_caution
from batteryscope.tables.bundle import load_table_bundle
from batteryscope.tables.bundle_card import name_better_baselines, tell_unguarded_domains
from batteryscope.tables.predict_query import predict_query, read_query


def open_batch(asked: Asked) -> Batch:
    """Open the model, read the rows and predict them all.

    Raises
    ------
    InputError, ConfigError
        The model or the table cannot be read, or nothing tells the domain of the rows.
    """
    assert asked.table is not None
    bundle = load_table_bundle(asked.bundle)
    record, known = bundle.record, bundle.familiarity
    query = read_query(asked.table, record, asked.domain, asked.written)
    answer = predict_query(query, record, bundle.ensemble, known, asked.answer_anyway)
    cautions = [
        *describe_caution(record.data, known is not None, "rows"),
        tell_unguarded_domains(record),
        *name_better_baselines(record),
    ]
    unusual = "outside the training ranges or impossible"
    if asked.answer_anyway:
        unusual = "outside the training ranges, impossible, or unlike the training rows"
    cells = answer.astype(object).where(answer.notna(), None)
    rows = ({str(k): v for k, v in row.items()} for row in cells.to_dict("records"))
    return Batch(
        judged=Judged(list(answer.columns), rows, len(answer)),
        summary=Summary(
            noun="row", known="row", place="line {row}", noted=(f"is {unusual}", f"are {unusual}")
        ),
        cautions=[line for line in cautions if line],
    )
