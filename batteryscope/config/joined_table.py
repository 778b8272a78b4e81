"""A table with one row per sample, beside the pictures."""

from typing import Self

from pydantic import model_validator

from batteryscope.config.base import Settings
from batteryscope.config.table_format import TableFormat


class JoinedTable(Settings):
    """Where values of samples stand: in a ``table``, or without one in the labels.

    ``sample_column`` names the sample of each row; ``table_format`` says how the table is written,
    where that cannot be told from it.
    """

    table: str | None = None
    sample_column: str | None = None
    table_format: TableFormat = TableFormat()

    @model_validator(mode="after")
    def _table_has_a_key(self) -> Self:
        if self.table is not None and self.sample_column is None:
            raise ValueError(
                f"table '{self.table}' needs sample_column, the column that names the file, the "
                "scan or the specimen of each row; add it."
            )
        if self.table is None and self.sample_column is not None:
            raise ValueError(
                f"sample_column '{self.sample_column}' has no effect without a table; add table, "
                "or leave it out (the values are then taken from the labels)."
            )
        if self.table is None and self.table_format != TableFormat():
            raise ValueError("table_format is for a table, but none is named; drop it.")
        return self
