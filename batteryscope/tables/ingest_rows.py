"""Read the rows of tables: from files to the sample table."""

from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.manifest.ingested import Ingested
from batteryscope.tables.build_rows import build_rows, list_decimal_signs
from batteryscope.tables.read_table import list_files, read_table
from batteryscope.tables.summarise_rows import summarise_rows


def ingest(
    settings: str,
    dataset: Path,
    simulated: Path | None,
    physics: str | None,
    cache: Path | None = None,
) -> Ingested:
    """Read all files of a data set by settings as JSON text or a file.

    Parameters
    ----------
    settings
        Of the data set.
    dataset
        Folder that the paths of its files count from; where it names none, all CSV files in it.
    simulated, physics, cache
        Of no use here: they label pictures, and keep what was read of them.

    Raises
    ------
    InputError
        If too few rows are usable.
    """
    del simulated, physics, cache
    asked = read_settings(TableDatasetSettings, settings)
    tables = [(f, read_table(f, asked, dataset)) for f in list_files(asked, dataset)]
    manifest, rejects = build_rows(tables, asked)
    summary = summarise_rows(manifest, rejects, asked)
    summary["decimal_signs"] = list_decimal_signs(tables, asked)
    lines = [f"{r.path}, line {r.row}: {r.detail} ({r.reason})" for r in rejects.itertuples()]
    counts = ", ".join(f"{name} {n}" for name, n in summary["domains"].items())
    return Ingested(
        manifest,
        rejects,
        summary,
        {"rejects": lines},
        [f"{d}: constant in all rows: {', '.join(n)}" for d, n in summary["constants"].items()],
        f"{summary['rows']} rows ({counts}), {summary['rejected']} rejected",
    )
