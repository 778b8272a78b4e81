"""How a bundle of quantities is read and applied."""

from pathlib import Path

import pandas as pd
import torch

from batteryscope.bundle.capacity_predict import CapacityBundle
from batteryscope.bundle.capacity_record import CapacityRecord, CapacityTarget, read_record
from batteryscope.bundle.read import load_capacity_bundle
from batteryscope.core.style import SERIES, encode_picture, house_style, make_figure
from batteryscope.evaluation.regression_metrics import show_unit

MOST_CURVES = 12
MOST_BANDS = 3  # more bands hide each other, so that whiskers side by side take their place
OVER_RATES = "_over_c_rate.png"
DODGE = 1.015  # factor on the C-rate from one curve's whiskers to the next one's


def draw_rates_beside(bundle: Path, table: Path) -> Path | None:
    """Draw a written table of predictions beside it, as PNG; return its path if there are any.

    Quantities that lie on no common axis are not drawn.
    """
    # Not the table's own name: the picture that was judged may have that.
    path, record = table.with_name(f"{table.stem}{OVER_RATES}"), read_record(bundle)
    if not record.is_curve:
        return None
    drawn = draw_rate_plot(pd.read_csv(table), record, path)
    return path if drawn else None


@house_style
def draw_rate_plot(predictions: pd.DataFrame, record: CapacityRecord, path: Path) -> bool:
    """Draw one curve per picture and unit, with its interval; False without any.

    Up to three have bands, more have whiskers, each a little to the right of the last one. Of
    more than twelve pictures every so many-th is drawn.
    """
    from matplotlib.ticker import NullLocator

    good = predictions[predictions["status"] == "ok"]
    if good.empty:
        return False
    step = -(-len(good) // MOST_CURVES)
    shown = good.iloc[::step]
    points = [target for target in record.targets if isinstance(target, CapacityTarget)]
    units = list(dict.fromkeys(target.unit for target in points))
    figure = make_figure(3.6 * len(units) + 1.8, 3.4)
    for axes, unit in zip(figure.subplots(1, len(units), squeeze=False)[0], units, strict=True):
        targets = sorted((t for t in points if t.unit == unit), key=lambda t: t.c_rate)
        rates = [target.c_rate for target in targets]
        for number, row in enumerate(shown.to_dict("records")):
            colour = SERIES[number % len(SERIES)]
            style = "-" if number < len(SERIES) else "--"
            values, low, high = (
                [float(row[f"{t.name}{end}"]) for t in targets] for end in ("", "_low", "_high")
            )
            aside = 0.0 if len(shown) <= MOST_BANDS else number - (len(shown) - 1) / 2
            places = [rate * DODGE**aside for rate in rates]
            axes.plot(places, values, style, color=colour, marker="o", ms=3, label=row["file"])
            if len(shown) <= MOST_BANDS:
                axes.fill_between(places, low, high, color=colour, alpha=0.12, lw=0)
            else:
                axes.vlines(places, low, high, color=colour, lw=1, alpha=0.6)
        axes.set_xscale("log")
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("C-rate")
        axes.set_ylabel(f"predicted capacity / {show_unit(unit)}")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7)
    path.write_bytes(encode_picture(figure, path.stem, "", record.data.generated).png)
    return True


def load_models(
    folder: Path, device: torch.device | str, batch_size: int, collector: str | None
) -> CapacityBundle:
    """Load the networks; parameters and errors as :func:`batteryscope.bundle.open.open_bundle`."""
    return load_capacity_bundle(folder, device, batch_size, collector)


def draw_beside(folder: Path, table: Path) -> str:
    """Draw a curve beside the table of predictions, and say so; empty if they are none."""
    plot = draw_rates_beside(folder, table)
    return f"Capacities over the C-rate: {plot}" if plot else ""
