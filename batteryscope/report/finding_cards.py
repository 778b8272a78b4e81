"""Findings as a page shows them: one card per kind, the worst first."""

from collections.abc import Iterable

WORST_FIRST = ("alarm", "warning", "plain", "good")


def gather_findings(findings: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, list[str]]]:
    """Put findings of one title on one card.

    Parameters
    ----------
    findings
        Colour (one of ``WORST_FIRST``), title and text of each, in the order of the checks.

    Returns
    -------
    list of (str, str, list of str)
        Colour, title and texts of every card. A card has the colour of its worst finding, whose
        text stands first; cards of one colour keep the order of the checks.

    Examples
    --------
    >>> gather_findings([("good", "Width", "a"), ("alarm", "Leak", "b"), ("warning", "Width", "c")])
    [('alarm', 'Leak', ['b']), ('warning', 'Width', ['c', 'a'])]
    """
    cards: dict[str, list[tuple[int, str]]] = {}
    for colour, title, text in findings:
        place = WORST_FIRST.index(colour) if colour in WORST_FIRST else 1
        cards.setdefault(title, []).append((place, text))
    ordered = sorted(cards.items(), key=lambda card: min(place for place, _ in card[1]))
    return [
        (
            WORST_FIRST[min(place for place, _ in texts)],
            title,
            [text for _, text in sorted(texts, key=lambda item: item[0])],
        )
        for title, texts in ordered
    ]
