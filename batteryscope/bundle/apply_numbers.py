"""How a bundle of quantities is read and applied."""

import math
from pathlib import Path

import pandas as pd
import torch

from batteryscope.bundle.number_bundle import NumberBundle
from batteryscope.bundle.number_record import NumberRecord, read_record
from batteryscope.bundle.read import load_number_bundle
from batteryscope.config.predicted import Quantity
from batteryscope.core.style import SERIES, encode_picture, house_style, make_figure
from batteryscope.evaluation.number_metrics import show_unit

MOST_CURVES = 12
MOST_BANDS = 3  # more bands hide each other, so that whiskers side by side take their place
DODGE = 1.015  # factor on the axis from one curve's whiskers to the next one's


def draw_curves_beside(bundle: Path, table: Path) -> Path | None:
    """Draw the curves of a written table of predictions beside it, as PNG; return its path.

    None where nothing that is predicted lies on an axis, or no picture could be judged.
    """
    record = read_record(bundle)
    if not record.points:
        return None
    # Not the table's own name: the picture that was judged may have that.
    path = table.with_name(f"{table.stem}_over_{record.points[0].axis_column}.png")
    drawn = draw_curve_plot(pd.read_csv(table), record, path)
    return path if drawn else None


@house_style
def draw_curve_plot(predictions: pd.DataFrame, record: NumberRecord, path: Path) -> bool:
    """Draw one line per picture and curve, with its interval; False without any.

    Up to three have bands, more have whiskers, each a little to the right of the last one. Of
    more than twelve pictures every so many-th is drawn.
    """
    from matplotlib.ticker import NullLocator

    good = predictions[predictions["status"] == "ok"]
    if good.empty:
        return False
    step = -(-len(good) // MOST_CURVES)
    shown = good.iloc[::step]
    curves: dict[tuple[str, str], list[Quantity]] = {}
    for point in sorted(record.points, key=lambda q: q.at or 0.0):
        curves.setdefault((point.label, point.unit), []).append(point)
    order = list(dict.fromkeys((q.label, q.unit) for q in record.points))
    figure = make_figure(3.6 * len(order) + 1.8, 3.4)
    for axes, (label, unit) in zip(
        figure.subplots(1, len(order), squeeze=False)[0], order, strict=True
    ):
        points = curves[label, unit]
        at = [point.at or 0.0 for point in points]
        is_log = at[0] > 0
        for number, row in enumerate(shown.to_dict("records")):
            colour = SERIES[number % len(SERIES)]
            style = "-" if number < len(SERIES) else "--"
            values, low, high = (
                [float(row.get(f"{q.name}{end}", math.nan)) for q in points]
                for end in ("", "_low", "_high")
            )
            aside = 0.0 if len(shown) <= MOST_BANDS else number - (len(shown) - 1) / 2
            places = at
            if is_log:
                places = [place * DODGE**aside for place in at]
            axes.plot(places, values, style, color=colour, marker="o", ms=3, label=row["file"])
            if len(shown) <= MOST_BANDS:
                axes.fill_between(places, low, high, color=colour, alpha=0.12, lw=0)
            else:
                axes.vlines(places, low, high, color=colour, lw=1, alpha=0.6)
        if is_log:
            axes.set_xscale("log")
        axes.set_xticks(at, [f"{place:g}" for place in at])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(points[0].axis_title)
        axes.set_ylabel(f"predicted {label} / {show_unit(unit)}")
        if axes.get_ylim()[0] >= 0 or points[0].positive:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7)
    path.write_bytes(encode_picture(figure, path.stem, "", record.data.generated).png)
    return True


def load_models(
    folder: Path, device: torch.device | str, batch_size: int, collector: str | None
) -> NumberBundle:
    """Load the networks; parameters and errors as :func:`batteryscope.bundle.open.open_bundle`."""
    return load_number_bundle(folder, device, batch_size, collector)


def draw_beside(folder: Path, table: Path) -> str:
    """Draw a curve beside the table of predictions, and say so; empty if they are none."""
    plot = draw_curves_beside(folder, table)
    return f"Predicted curves: {plot}" if plot else ""
