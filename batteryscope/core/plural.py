"""Numbers with their nouns."""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 slice`` or ``3 slices``.

    Parameters
    ----------
    number
        How many.
    noun
        Of one.
    plural
        Of several, if it is not made by adding an s.
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
