"""Looks at what the user named: pictures, scans, tables."""

from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.table_format import TableFormat
from batteryscope.errors import ConfigError
from batteryscope.samples.ct import CT
from batteryscope.samples.kind import Samples
from batteryscope.samples.rows import ROWS
from batteryscope.start.seen import Seen


def look_at(
    *,
    images: Path | None = None,
    scans: Path | None = None,
    tables: Sequence[Path] = (),
    targets: Sequence[str] = (),
    domain: str = "",
    written: TableFormat | None = None,
) -> tuple[Seen, Samples]:
    """Return what was found, and what is looked at.

    Parameters
    ----------
    images, scans, tables
        One of them: a folder of pictures, of scans, or tables.
    targets
        Columns to predict, of tables or of a table beside the files.
    domain
        Column of the tables that names the material.
    written
        How tables are written, where that cannot be told from them.

    Raises
    ------
    InputError
        Nothing there can be used.
    ConfigError
        An option does not go with what was named.
    """
    if domain and not tables:
        raise ConfigError("--domain is a column of --table; leave it out.")
    if images is not None:
        from batteryscope.start.look_pictures import look_at_pictures, tell_samples

        seen = look_at_pictures(images, targets, written)
        return seen, tell_samples(seen)
    if scans is not None:
        from batteryscope.start.look_scans import look_at_scans

        return look_at_scans(scans, targets, written), CT
    from batteryscope.start.look_rows import look_at_rows

    return look_at_rows(tables, targets, domain, written), ROWS
