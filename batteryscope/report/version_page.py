"""Two studies, or two versions of one, side by side: as lines of a terminal, and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from batteryscope.core.safe_text import guard_table
from batteryscope.evaluation.compare_answers import AnswerComparison
from batteryscope.evaluation.metric_catalogue import METRICS, Metric
from batteryscope.evaluation.versions import FEWEST_UNITS
from batteryscope.report.html import make_environment
from batteryscope.report.shown_table import show_table
from batteryscope.report.tables import NOTHING, format_p
from batteryscope.report.tested_images import read_thumbnails

SHOWN_CHANGES = 200  # of a page; the table beside it has all
SHOWN_PICTURES = 60
LISTED_CHANGES = 10  # at a terminal
LETTERS = ("A", "B")
NAMED_LETTERS = {"first": "A", "second": "B"}
GRADES = {"right": "right", "closer": "right", "wrong": "wrong", "farther": "wrong"}
COLUMNS = NAMED_LETTERS | {"first_all": "A_all", "second_all": "B_all"}  # of CSV files


class ComparedSide(Protocol):
    """A or B: as it was named, the title of its study, and whether its data were generated."""

    @property
    def name(self) -> str:
        """As it was named."""

    @property
    def title(self) -> str:
        """Of its study."""

    @property
    def generated(self) -> bool:
        """Whether a program made its data."""


def tell_shared(comparison: AnswerComparison) -> str:
    """Say on how many samples the comparison rests."""
    c = comparison
    text = f"Both tested {c.n_shared + c.n_relabelled} of the same samples"
    if c.n_first == c.n_second == c.n_shared:
        text += ", and no others"
    else:
        text += f" (A tested {c.n_first} in all, B {c.n_second})"
    if c.n_relabelled:
        text += (
            f"; {c.n_relabelled} of them have another true value on the other side and are left out"
        )
    return f"{text}. All below is of the shared {c.n_shared}, where nothing else is said."


def tell_tests(comparison: AnswerComparison) -> list[str]:
    """Say for every target which side errs less, and whether chance explains it."""
    return [_tell_test(comparison, test) for test in comparison.tests.to_dict("records")]


def tell_changes(comparison: AnswerComparison) -> str:
    """Say how many answers changed in which way."""
    counts = comparison.count_changes()
    answers = sum(counts.values())
    if not answers:
        return "No answer changed in a way that counts."
    return "Answers from A to B: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + "."


def list_lines(comparison: AnswerComparison, sides: Sequence[ComparedSide]) -> list[str]:
    """Return all that is told at a terminal of A and B."""
    lines = [f"{letter}  {side.name}" for letter, side in zip(LETTERS, sides, strict=True)]
    lines += ["", tell_shared(comparison), "", *_align(frame_metrics(comparison)), ""]
    lines += [*tell_tests(comparison), tell_changes(comparison)]
    changes = frame_changes(comparison)
    if len(changes):
        lines += ["", *_align(changes.head(LISTED_CHANGES))]
    if len(changes) > LISTED_CHANGES:
        lines.append(f"… and {len(changes) - LISTED_CHANGES} more")
    return lines


def frame_metrics(comparison: AnswerComparison) -> pd.DataFrame:
    """Return the metrics as texts: of shared samples with the difference, and of all own ones."""
    rows = []
    for row in comparison.metrics.to_dict("records"):
        metric = METRICS[str(row["metric"])]
        rows.append(
            {
                "target": row["target"],
                "metric": _name_metric(metric, str(row["target_unit"])),
                "A": _show(metric, row["first"]),
                "B": _show(metric, row["second"]),
                "B − A": _show(metric, row["second"] - row["first"], signed=True),
                "all of A": _show(metric, row["first_all"]),
                "all of B": _show(metric, row["second_all"]),
            }
        )
    frame = _drop_target(comparison, pd.DataFrame(rows))
    others = comparison.n_shared < max(comparison.n_first, comparison.n_second)
    return frame if others else frame.drop(columns=["all of A", "all of B"])


def frame_tests(comparison: AnswerComparison) -> pd.DataFrame:
    """Return the paired tests as texts."""
    metric = METRICS[comparison.error_metric]
    rows = []
    for test in comparison.tests.to_dict("records"):
        unit = _name_error_unit(metric, test)
        low, high = (_show(metric, test[end], signed=True) for end in ("low", "high"))
        rows.append(
            {
                "target": test["target"],
                "independent units": str(test["n_units"]),
                "error of A": f"{_show(metric, test['first'])}{unit}",
                "error of B": f"{_show(metric, test['second'])}{unit}",
                "B errs less by": f"{_show(metric, test['difference'], signed=True)}{unit}",
                "95 % interval": NOTHING if pd.isna(test["low"]) else f"{low} to {high}{unit}",
                "p": format_p(test["p_value"]),
                "p (Holm)": format_p(test["p_holm"]),
                "better": NAMED_LETTERS.get(str(test["better"]), "may be chance"),
            }
        )
    frame = _drop_target(comparison, pd.DataFrame(rows))
    return frame if "target" in frame else frame.drop(columns="p (Holm)")


def frame_changes(comparison: AnswerComparison) -> pd.DataFrame:
    """Return the answers that changed as texts, the largest changes first."""
    names = {"y_true": "true", "first": "A", "second": "B", "change": "A → B"}
    changes = comparison.changes.rename(columns=names)
    return _drop_target(comparison, changes[["sample", "target", *names.values()]])


def read_pictures(pages: Sequence[Path]) -> dict[str, bytes]:
    """Return the small pictures (WebP) of reports by sample; an earlier report's are taken first.

    Reports that cannot be read have none: a comparison does not need them.
    """
    pictures: dict[str, bytes] = {}
    for page in pages:
        try:
            pictures = read_thumbnails(page.read_text(encoding="utf-8")) | pictures
        except (OSError, ValueError):
            continue
    return pictures


def list_cards(comparison: AnswerComparison, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the changed answers about samples with a picture, the largest changes first.

    Returns
    -------
    list of dict
        ``name, picture`` (WebP), ``target`` ("" if there is only one), ``truth, first, second``
        and ``grade``: right if B is right or closer, wrong if A is, else empty.
    """
    several = len(comparison.tests) > 1
    cards: list[dict[str, Any]] = []
    for row in comparison.changes.to_dict("records"):
        if row["sample"] in pictures and len(cards) < SHOWN_PICTURES:
            ending = str(row["change"]).rpartition(" → ")[2]
            cards.append(
                {
                    "name": row["sample"],
                    "picture": pictures[row["sample"]],
                    "target": row["target"] if several else "",
                    "truth": row["y_true"],
                    "first": row["first"],
                    "second": row["second"],
                    "grade": GRADES.get(ending, ""),
                }
            )
    return cards


def render_version_page(
    comparison: AnswerComparison,
    sides: Sequence[ComparedSide],
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """Render one self-contained page of A and B, with the pictures of samples that changed."""
    changes = frame_changes(comparison)
    context: dict[str, Any] = {
        "settings": {"title": " and ".join(side.name for side in sides)},
        "sides": list(zip(LETTERS, sides, strict=True)),
        "generated": any(side.generated for side in sides),
        "shared": tell_shared(comparison),
        "tests_text": tell_tests(comparison),
        "changes_text": tell_changes(comparison),
        "metrics": show_table(frame_metrics(comparison), "", ("metric",)),
        "tests": show_table(frame_tests(comparison), "", ("better",)),
        "changes": show_table(
            changes.head(SHOWN_CHANGES), "", ("target", "true", "A", "B", "A → B")
        ),
        "cards": list_cards(comparison, pictures or {}),
        "change_note": comparison.change_note,
        "n_changes": len(changes),
        "n_shown": min(len(changes), SHOWN_CHANGES),
        "fewest_units": FEWEST_UNITS,
    }
    return make_environment().get_template("versions.html.j2").render(context)


def write_versions(
    comparison: AnswerComparison,
    sides: Sequence[ComparedSide],
    out: Path,
    pictures: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the page and its tables into a folder; return the path of the page."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("metrics", "tests", "changes"):
        table: pd.DataFrame = getattr(comparison, name)
        table = table.rename(columns=COLUMNS).replace({"better": NAMED_LETTERS})
        guard_table(table).to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
    path = out / "versions.html"
    path.write_text(render_version_page(comparison, sides, pictures), encoding="utf-8")
    return path


def _tell_test(comparison: AnswerComparison, test: Mapping[Any, Any]) -> str:
    metric = METRICS[comparison.error_metric]
    unit = _name_error_unit(metric, test)
    several = len(comparison.tests) > 1
    errors = " and ".join(
        f"{letter} {_show(metric, test[side])}{unit}" for side, letter in NAMED_LETTERS.items()
    )
    text = f"{test['target']}: " if several else ""
    text += f"Mean error over {test['n_units']} independent units: {errors}"
    if pd.isna(test["p_value"]):
        return f"{text}; a single unit cannot be tested."
    p_value = format_p(test["p_holm"])
    text += f"; paired test: p {p_value if p_value.startswith('<') else f'= {p_value}'}"
    text += ", corrected for the number of targets." if several else "."
    if test["better"]:
        return f"{text} {NAMED_LETTERS[str(test['better'])]} is better."
    if test["n_units"] < FEWEST_UNITS:
        return f"{text} Fewer than {FEWEST_UNITS} units prove nothing."
    return f"{text} The difference may be chance."


def _name_error_unit(metric: Metric, test: Mapping[Any, Any]) -> str:
    """Return what stands behind an error, its space included."""
    unit = "%" if metric.is_percent else str(test["target_unit"])
    return f" {unit}" if unit else ""


def _name_metric(metric: Metric, unit: str) -> str:
    return metric.title(unit) if unit or metric.unit != "target" else metric.label


def _show(metric: Metric, value: float, signed: bool = False) -> str:
    """Return a value as tables have it, whose heads tell the unit."""
    if pd.isna(value):
        return NOTHING
    digits = ".3g" if metric.unit == "target" else f".{metric.decimals}f"
    text = f"{metric.factor * value:{'+' if signed else ''}z{digits}}"
    return text.replace("-", "−")


def _drop_target(comparison: AnswerComparison, frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the target where there is only one."""
    return frame if len(comparison.tests) > 1 else frame.drop(columns="target")


def _align(frame: pd.DataFrame) -> list[str]:
    """Return a table in columns of letters, the first one and texts from the left."""
    rows = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
