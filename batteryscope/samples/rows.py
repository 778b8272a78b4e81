"""Rows of a table."""

from batteryscope.samples.kind import SampleModules, Samples

ROWS = Samples(
    name="rows",
    noun="row",
    plural="rows",
    given="a row",
    goes_in="A row",
    levels=("row",),
    unit="group",
    group="group",
    learnt_from="rows",
    modules=SampleModules(
        generate="batteryscope.demo.write_table",
        ingest="batteryscope.tables.ingest_rows",
        split="batteryscope.tables.divide_rows",
        train="batteryscope.tables.train_rows",
        search="batteryscope.search.plan_table_search",
        predict="batteryscope.tables.predict_rows",
    ),
    offers=frozenset({"labels", "rows"}),
    options=("table", "domain", "written"),
)
