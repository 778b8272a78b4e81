"""From measured numbers to tables and sentences that people read."""

from collections.abc import Callable, Sequence

import pandas as pd

from batteryscope.evaluation.metric_catalogue import METRICS, name_metric

LEVEL_NAMES = {
    "tile": "tile",
    "slice": "slice",
    "image": "image",
    "specimen": "specimen",
    "row": "record",
    "external": "image of the external set",
    "expert": "image that experts judged",
}
PAPER_ARM = "paper"  # rows of published values that nothing of ours stands beside
HEADLINE_LEVELS = ("image", "specimen", "slice", "tile")
NOTHING = "–"


def format_percent(value: float | None, decimals: int = 1) -> str:
    """Return ``93.8 %``, or a dash for a missing value."""
    if value is None or pd.isna(value):
        return NOTHING
    return f"{100 * value:.{decimals}f} %"


def format_spread(mean: float, sd: float | None) -> str:
    """Return ``93.8 ± 1.2 %``; without the spread if there was one fold only."""
    if pd.isna(mean):
        return NOTHING
    if sd is None or pd.isna(sd):
        return format_percent(mean)
    return f"{100 * mean:.1f} ± {100 * sd:.1f} %"


def format_metric(metric: str, mean: float, sd: float | None) -> str:
    """Return a mean with its spread as the metric is shown, shares in percent."""
    known = METRICS.get(metric)
    if known is None or known.is_percent:
        return format_spread(mean, sd)
    return known.format(mean, sd=sd)


def format_duration(seconds: float | None) -> str:
    """Return ``45 s``, ``12 min`` or ``2 h 05 min``."""
    if seconds is None or pd.isna(seconds):
        return NOTHING
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_count(value: float | None) -> str:
    """Return ``66 347 960`` with narrow spaces between the thousands."""
    if value is None or pd.isna(value):
        return NOTHING
    return f"{int(value):,}".replace(",", "\u202f")


def format_p(value: float) -> str:
    """Return a p value to three digits, or a dash for a missing one."""
    if pd.isna(value):
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def as_fraction(value: float) -> float:
    """Return a published share as a fraction; 99.6 can only mean percent."""
    return value / 100 if value > 1 else value


def select_rows(
    comparison: pd.DataFrame, level: str, target: str = "", metric: str | None = None
) -> pd.DataFrame:
    """Choose the rows of a level and target, over all domains together where those exist."""
    rows = comparison[(comparison["level"] == level) & (comparison["target"] == target)]
    if metric is not None:
        rows = rows[rows["metric"] == metric]
    if (rows["domain"] == "").any():
        rows = rows[rows["domain"] == ""]
    return rows


def order_arms(comparison: pd.DataFrame, known: Sequence[str], main: str) -> list[str]:
    """List the arms of a comparison: the main one, the others as configured, baselines last."""
    present = [arm for arm in dict.fromkeys(comparison["arm"]) if arm != PAPER_ARM]
    arms = [main, *known, *sorted(a for a in present if not a.startswith("baseline"))]
    baselines = [a for a in present if a.startswith("baseline")]
    return [arm for arm in dict.fromkeys([*arms, *baselines]) if arm in present]


def find_headline_level(comparison: pd.DataFrame, arm: str) -> str | None:
    """Return the level that the arm is judged by: images if there are any."""
    present = set(comparison.loc[comparison["arm"] == arm, "level"])
    return next((level for level in HEADLINE_LEVELS if level in present), None)


def make_comparison_table(
    comparison: pd.DataFrame,
    level: str,
    quantities: Sequence[tuple[str, str]],
    arms: Sequence[str],
    name_arm: Callable[[str], str],
) -> pd.DataFrame:
    """Make the table of arms and baselines at one level, ready to read.

    Parameters
    ----------
    comparison
        The tidy table ``comparison.csv``.
    level
        For example ``image``.
    quantities
        Pairs (target, metric), one column each, in this order; columns without any value are
        left out.
    arms
        Rows in this order; arms without any value at this level are left out.
    name_arm
        Gives the text for an arm.
    """
    rows = []
    for arm in arms:
        entry: dict[str, str] = {"strategy": name_arm(arm), "network": ""}
        n: float | None = None
        for target, metric in quantities:
            found = select_rows(comparison, level, target, metric)
            found = found[found["arm"] == arm]
            for _, row in found.iterrows():
                domain = f", {row['domain']}" if row["domain"] else ""
                column = " ".join(filter(None, [target, name_metric(metric)])) + domain
                entry[column] = format_metric(metric, row["mean"], row["sd"])
                if pd.notna(row.get("paper")):
                    entry[f"paper: {column}"] = format_percent(as_fraction(row["paper"]))
                entry["network"] = str(row["backbone"])
                n = row["n"] if n is None else n
        if n is not None:
            rows.append({**entry, "n": format_count(n)})
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows).fillna(NOTHING)
    last = [c for c in table.columns if c.startswith("paper: ")]
    table = table[[c for c in table.columns if c not in (*last, "n")] + ["n", *last]]
    if (table["network"].isin(["", NOTHING])).all():
        table = table.drop(columns="network")
    return table.replace("", NOTHING)


def make_paper_table(
    paper: Sequence[tuple[str, str, str, str, float, str]], comparison: pd.DataFrame, arm: str
) -> pd.DataFrame:
    """Put every published number beside ours.

    Parameters
    ----------
    paper
        Tuples (metric, target, domain, level, value, note) as in ``evaluate.paper``.
    comparison
        The tidy table ``comparison.csv``.
    arm
        Whose numbers stand beside the paper's.
    """
    rows = []
    for metric, target, domain, level, value, note in paper:
        ours = comparison[
            (comparison["arm"] == arm)
            & (comparison["metric"] == metric)
            & (comparison["target"] == target)
            & (comparison["domain"] == domain)
            & (comparison["level"] == level)
        ]
        quantity = " ".join(filter(None, [target, name_metric(metric)]))
        published = as_fraction(value)
        entry = {
            "quantity": f"{quantity}, per {LEVEL_NAMES[level]}" + (f", {domain}" if domain else ""),
            "paper": format_percent(published),
            "here": "not measured",
            "difference": NOTHING,
            "n here": NOTHING,
            "note": note or NOTHING,
        }
        if len(ours):
            row = ours.iloc[0]
            entry["here"] = format_spread(row["mean"], row["sd"])
            entry["n here"] = format_count(row["n"])
            difference = 100 * (row["mean"] - published)
            entry["difference"] = f"{difference:+z.1f} points".replace("-", "−")
        rows.append(entry)
    return pd.DataFrame(rows)
