"""How figures of a study stand in Snakemake's own report: group, name, caption.

Snakemake shows them as text in reStructuredText, and lists them by group and name.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

# By the beginning of a figure's name; the first that fits counts. Numbers keep the order.
GROUPS = {
    "1 Data": (
        *("class_sizes", "class_copies", "grey_histograms", "samples", "distributions"),
        "capacity_over_cycles",
    ),
    "3 Training": ("curves_", "training_", "learning_curves"),
    "4 Shortcuts": ("shortcuts",),
    "5 What the answers rest on": (
        *("explain_", "same_tiles", "methods_", "outputs_", "shares_"),
        *("beeswarm_", "dependence_", "waterfall_", "ranks"),
    ),
    "6 Sweeps": ("sweep_",),
}
RESULTS = "2 Results"
LIST_LETTERS = 60
# Letters that mean something in reStructuredText.
_MARKS = re.compile(r"([\\*`|_<>])")


def find_group(figure: str) -> str:
    """Return the group of a figure.

    Examples
    --------
    >>> find_group("curves_fit-8221ab48"), find_group("confusion")
    ('3 Training', '2 Results')
    """
    for group, beginnings in GROUPS.items():
        if figure.startswith(beginnings):
            return group
    return RESULTS


def read_captions(report: Path) -> dict[str, str]:
    """Return the captions of the figures in a report's folder; empty where there are none yet."""
    path = report / "figures" / "captions.json"
    if not path.is_file():
        return {}
    return {str(name): str(text) for name, text in json.loads(path.read_text("utf-8")).items()}


def label_figure(figure: str, captions: Mapping[str, str]) -> dict[str, str]:
    """Return the row of a figure in the list, so short that the figure has room beside it."""
    caption = textwrap.shorten(captions.get(figure, ""), LIST_LETTERS, placeholder=" …")
    return {"figure": figure.replace("_", " "), "caption": caption}


def spell_caption(figure: str, captions: Mapping[str, str]) -> str:
    r"""Return the whole caption for reStructuredText; without one, what the figure is called.

    Examples
    --------
    >>> spell_caption("parity", {"parity": "Points: R² > 0.9, *all* rows."})
    'Points: R² \\> 0.9, \\*all\\* rows.'
    """
    told = captions.get(figure) or figure.replace("_", " ").capitalize() + "."
    return _MARKS.sub(r"\\\1", " ".join(told.split()))
