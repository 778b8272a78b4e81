"""A table of specific capacities over the cycle number, beside pictures of cycled electrodes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.table_format import TableFormat

CYCLE, CAPACITY, CELL = "cycle", "capacity_mah_g", "cell"
CycleNumber = Annotated[float, Field(ge=0)]


class CyclingTable(Settings):
    """Capacity over cycles: what the cells could do whose electrodes the pictures show.

    ``table`` is a CSV, Excel or parquet file inside the data set with a row per cell and cycle and
    the columns ``cycle`` (number of the cycle, from 1) and ``capacity_mah_g`` (specific discharge
    capacity in mAh per gram of active material). A column ``cell`` tells repeats apart. ``match``
    is a column of the table and of the sample table alike that says which curve belongs to a
    picture: a label such as ``composition``, ``specimen_id`` or ``class``; without it all pictures
    share one curve. ``state_column`` is the label that holds the state. After how many cycles its
    electrodes were taken out say ``cycles``, for each state, or ``cycle_column``, a label that
    holds the number for each picture. ``table_format`` says how the table is written, where that
    cannot be told from it. Nothing is trained on it: the report draws it beside the states.
    """

    table: str
    match: str | None = None
    state_column: str = "state"
    cycles: dict[str, CycleNumber] = {}
    cycle_column: str | None = None
    table_format: TableFormat = TableFormat()

    @model_validator(mode="after")
    def _one_way_to_tell_the_cycle(self) -> Self:
        if bool(self.cycles) == (self.cycle_column is not None):
            raise ValueError(
                "say after how many cycles the electrodes were taken out in one way: cycles (a "
                "number for each state), or cycle_column (a label that holds the number)."
            )
        if self.match in (CYCLE, CAPACITY, CELL):
            raise ValueError(
                f"match is '{self.match}', which is a column of every such table; name the label "
                "that says which curve belongs to a picture."
            )
        return self
