"""The figure of accuracy over the number of training images, arm by arm."""

from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.core.style import (
    SERIES,
    Picture,
    draw_legend,
    encode_picture,
    house_style,
    make_figure,
    percent_axis,
)
from batteryscope.evaluation.extrapolate import (
    Outlook,
    describe_outlook,
    extrapolate_accuracy,
)
from batteryscope.manifest.select import select_samples
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.input_tables import plan_or_none
from batteryscope.report.tables import LEVEL_NAMES, select_rows
from batteryscope.samples.choose import samples_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@house_style
def draw_learning_curve(
    points: pd.DataFrame,
    chance: float,
    unit: str,
    outlook: Outlook | None = None,
    counted: str = "images",
) -> "Figure":
    """Draw one line per arm, with ± one standard deviation over the fits.

    Parameters
    ----------
    points
        ``label`` of the arm, ``images_per_class``, ``mean`` and ``sd`` (NaN for a single
        fit), shares of 1.
    chance
        Share that guessing gets right, drawn as a dotted line.
    unit
        What the accuracy counts, for the axis.
    outlook
        What more images would bring to the first arm, drawn open with its interval.
    counted
        What the points count, in the plural.
    """
    from matplotlib.lines import Line2D

    figure = make_figure(5.4, 3.5)
    axes = figure.subplots()
    handles: dict[str, Line2D] = {}
    for (label, line), colour in zip(points.groupby("label", sort=False), SERIES, strict=False):
        ordered = line.sort_values("images_per_class")
        axes.errorbar(
            ordered["images_per_class"], ordered["mean"], yerr=ordered["sd"].fillna(0),
            color=colour, marker="o", ms=4, capsize=2, label=label,
        )  # fmt: skip
        handles[str(label)] = Line2D([], [], color=colour, marker="o", ms=4)
    if outlook is not None and outlook.is_told:
        reach = [outlook.expected - outlook.low, outlook.high - outlook.expected]
        axes.errorbar(
            outlook.images, outlook.expected, yerr=reach, color=SERIES[0], marker="o", ms=4,
            mfc="none", ls=":", capsize=2,
        )  # fmt: skip
        handles["expected with more"] = Line2D(
            [], [], color=SERIES[0], marker="o", ms=4, mfc="none", ls=":"
        )
    axes.axhline(chance, color="0.5", ls=":", lw=1)
    axes.set_xscale("log")
    more = [] if outlook is None else outlook.images.tolist()
    ticks = sorted({*points["images_per_class"], *more})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"training {counted} per class")
    axes.set_ylabel(unit)
    percent_axis(axes, "y")
    axes.grid(axis="y")
    draw_legend(figure, list(handles.values()), list(handles))
    return figure


def show_learning_curve(evidence: StudyEvidence, headline: Headline | None) -> Picture | None:
    """Draw the curve of a study that has one; None without."""
    settings, full = evidence.settings, count_training_images(evidence)
    if headline is None or headline.chance is None or not settings.curve_arms or full is None:
        return None
    points = tabulate_points(evidence, headline.level, full)
    if points.empty:
        return None
    unit = f"test {LEVEL_NAMES[headline.level]}s put into the right class"
    counted = name_counted(evidence)
    caption = (
        f"Accuracy over the number of training {counted} per class in the last stage; whiskers: "
        f"standard deviation over folds and repeats, dotted: guessing. The last point ({full:g} "
        f"{counted} per class on average) is the whole training part. Validation {counted}, by "
        "which the epoch and the temperature are chosen, are limited to the same number per class."
    )
    if _is_iterative(evidence):
        caption += (
            f" All points have the same number of epochs, so fewer {counted} also mean fewer steps."
        )
    main = points[points["label"] == points["label"].iloc[0]]
    outlook = extrapolate_accuracy(main["images_per_class"], main["mean"], main["n"])
    if outlook is not None:
        caption += " " + describe_outlook(outlook, full, counted)
    figure = draw_learning_curve(points, headline.chance, unit, outlook, counted)
    return encode_picture(figure, "learning_curve", caption, evidence.generated, narrow=True)


def tabulate_points(evidence: StudyEvidence, level: str, full: float) -> pd.DataFrame:
    """Make the table that :func:`draw_learning_curve` draws.

    Parameters
    ----------
    evidence
        What was measured.
    level
        At which accuracy counts, for example ``image``.
    full
        Images per class of the whole training part: the last point of every arm. Points that
        ask for as many or more trained on the same images and are left out.
    """
    found = select_rows(evidence.comparison, level, "", "accuracy").dropna(subset="mean")
    curve_arms = evidence.settings.curve_arms
    bases = {base: (base, full) for base, _ in curve_arms.values()}
    points = [
        {
            "label": evidence.label_of(base),
            "images_per_class": images,
            "mean": row["mean"],
            "sd": row["sd"],
            "n": row["n"],
        }
        for arm, (base, images) in {**bases, **curve_arms}.items()
        for row in found[found["arm"] == arm].to_dict("records")
        if images < full or arm == base
    ]
    return pd.DataFrame(points)


def _is_iterative(evidence: StudyEvidence) -> bool:
    """Whether some last stage of the curve is trained in steps, not solved in closed form."""
    plan = plan_or_none(evidence)
    arms = (
        []
        if plan is None
        else [plan.arms[base] for base, _ in evidence.settings.curve_arms.values()]
    )
    return plan is None or any(
        plan.stages[arm.chains[-1]].settings.train.method == "gradient" for arm in arms
    )


def name_counted(evidence: StudyEvidence) -> str:
    """Return what the points of the curve count, in the plural: images, or cells of scans."""
    if evidence.settings.curve_counts == "image" or evidence.manifest is None:
        return "images"
    return f"{samples_in(evidence.manifest.columns).unit}s"


def count_training_images(evidence: StudyEvidence) -> float | None:
    """Count the training images per class of one fit, of what may be tested; None if unknown.

    Specimens, where the curve counts them.
    """
    if evidence.manifest is None or evidence.split is None:
        return None
    wanted = select_samples(evidence.manifest, evidence.settings.split.test_where)
    first = evidence.split[(evidence.split["repeat"] == 0) & (evidence.split["fold"] == 0)]
    trained = first.loc[first["role"] == "train", "sample_id"]
    here = wanted[wanted["sample_id"].isin(trained)]
    if evidence.settings.curve_counts == "specimen":
        here = here.drop_duplicates(["class", "specimen_id"])
    return round(len(here) / max(1, evidence.manifest["class"].nunique()), 1)
