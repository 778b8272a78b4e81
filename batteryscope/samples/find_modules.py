"""Which module does a verb for files that a user names by hand, without the study around them."""

from pathlib import Path

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.json_text import read_settings
from batteryscope.samples.choose import samples_in, samples_of


def find_reader(settings: str) -> str:
    """Return the module that reads a data set of pictures or scans (JSON text or file).

    Raises
    ------
    ConfigError
        If the settings cannot be read.
    """
    return samples_of(read_settings(DatasetSettings, settings)).modules.ingest


def find_divider(manifest: Path) -> str:
    """Return the module that divides the samples of a table.

    Of a file that is no table it is that of pictures, which says what is wrong with it.
    """
    import pyarrow.parquet as pq

    try:
        columns = pq.read_schema(manifest).names
    except (OSError, ValueError):
        columns = []
    return samples_in(columns).modules.split
