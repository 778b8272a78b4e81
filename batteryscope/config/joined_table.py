"""A table with one row per sample, beside the pictures."""

from typing import ClassVar, Self

from pydantic import model_validator

from batteryscope.config.base import CountsWith, Settings
from batteryscope.config.table_format import TableFormat


class JoinedTable(Settings):
    """Where values of samples stand: in a ``table``, or without one in the labels.

    ``sample_column`` names the sample of each row; ``table_format`` says how the table is written,
    where that cannot be told from it.
    """

    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("sample_column", "table", unless=(None,)),
        CountsWith("table_format", "table", unless=(None,)),
    )

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
        return self
