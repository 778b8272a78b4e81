"""What labels say about the acquisition of a picture: numbers and a date, each in its type."""

from batteryscope.manifest.schema import NUMBER_COLUMNS, TIME_COLUMN
from batteryscope.readers.number_text import is_unclear, list_meanings
from batteryscope.readers.written_values import as_number, parse_date_time

_ABOVE_ZERO = ("pixel_size_um", "magnification", "voltage_kv")
HEIGHT_COLUMN = "data_bar_px"


def convert_stated(text: str, column: str) -> object:
    """Give an acquisition value from the labels its type; None if it is impossible."""
    if column == TIME_COLUMN:
        return parse_date_time(text.replace("T", " "))
    if column not in NUMBER_COLUMNS:
        return text
    value = as_number(text)
    if value is None or (column in _ABOVE_ZERO and value <= 0):
        return None
    if column == HEIGHT_COLUMN:
        return int(value) if value >= 0 and value == int(value) else None
    return value


def explain_impossible(text: str, column: str) -> str:
    """Say what :func:`convert_stated` expects instead."""
    if column in NUMBER_COLUMNS and is_unclear(text):
        return (
            f"its labels give {column} = '{text}', which may be "
            f"{' or '.join(list_meanings(text).values())}; write it without such a mark, or with "
            "another number of decimals."
        )
    expected = "a number"
    if column == TIME_COLUMN:
        expected = "date and time, such as 2024-05-31 14:30:00"
    elif column == HEIGHT_COLUMN:
        expected = "a whole number of pixels"
    elif column in _ABOVE_ZERO:
        expected = "a number above 0"
    return f"its labels give {column} = '{text}'; expected {expected}; correct it."
