"""Where along the winding a network looks: attribution maps in polar coordinates around the core.

The crops of scans have the centre of the windings in their middle. Cells stand at any angle in
the scanner, so before maps are averaged each one is turned until its strongest direction lies in
the middle.
"""

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.core.style import SERIES, house_style, make_figure
from batteryscope.explain.overlay import COLOUR_MAP
from batteryscope.preprocess.unroll import unroll

N_ANGLES, N_RADII = 180, 60


def unroll_map(values: NDArray[np.floating], is_unrolled: bool = False) -> NDArray[np.float64]:
    """Bring a map into polar coordinates around its middle, its sum becoming 1.

    Parameters
    ----------
    values : (H, W) array
        Non-negative; a crop around the core, or a tile that was unrolled itself (rows being
        radii).
    is_unrolled
        The latter.

    Returns
    -------
    (N_RADII, N_ANGLES) array
        From the centre outwards to the middle of the crop's edges.
    """
    from skimage.transform import resize

    if is_unrolled:
        polar = np.asarray(resize(np.asarray(values, np.float64), (N_RADII, N_ANGLES)))
    else:
        centre = (values.shape[1] - 1) / 2, (values.shape[0] - 1) / 2
        polar = unroll(values, *centre, 0.0, min(centre), N_ANGLES, N_RADII).astype(np.float64)
    total = polar.sum()
    return polar / total if total > 0 else polar


def turn_to_middle(polar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a polar map so that its strongest direction (smoothed over 30°) is in the middle."""
    from scipy.ndimage import uniform_filter1d

    strength = uniform_filter1d(polar.sum(axis=0), N_ANGLES // 12, mode="wrap")
    return np.roll(polar, N_ANGLES // 2 - int(strength.argmax()), axis=1)


def choose_typical(
    predictions: pd.DataFrame, specimens: "pd.Series[str]", count: int
) -> pd.DataFrame:
    """Choose rightly classified test tiles of every class, spread over the specimens.

    Parameters
    ----------
    predictions
        Predictions table at tile level.
    specimens
        Specimen by ``sample_id``.
    count
        Tiles of each class; specimens take turns, their surest slices first.
    """
    tested = predictions[(predictions["role"] == "test") & (predictions["tile"] >= 0)]
    right = tested[tested["y_true"] == tested["y_pred"]]
    columns = [c for c in right.columns if c.startswith("p_")]
    right = right.assign(
        confidence=right[columns].max(axis=1), specimen=right["sample_id"].map(specimens)
    )
    right = right.sort_values(["confidence", "sample_id"], ascending=[False, True])
    turn = right.groupby(["y_true", "specimen"], dropna=False).cumcount()
    right = right.assign(turn=turn).sort_values(["turn", "confidence"], ascending=[True, False])
    return right.groupby("y_true").head(count).drop(columns="turn")


def tabulate_profiles(polar: Mapping[str, NDArray[np.float64]], reach: float) -> pd.DataFrame:
    """Tabulate how the attribution is spread over the radius.

    Parameters
    ----------
    polar
        Class → (n, N_RADII, N_ANGLES) maps.
    reach
        Radius of the outermost sample in radii of the can.

    Returns
    -------
    DataFrame
        ``class, radius_share, mean, sd``: mean and standard deviation over the maps of the share
        of the attribution per radius; ``radius_share`` in radii of the can.
    """
    radius = np.linspace(0, reach, N_RADII)
    tables = []
    for name, maps in polar.items():
        profile = maps.sum(axis=2)
        values = {"radius_share": radius, "mean": profile.mean(0), "sd": profile.std(0)}
        tables.append(pd.DataFrame({"class": name, **values}))
    return pd.concat(tables, ignore_index=True)


@house_style
def draw_polar_average(polar: Mapping[str, NDArray[np.float64]], reach: float) -> bytes:
    """Draw the mean polar map of every class, and the share of attribution over the radius."""
    figure = make_figure(9.2, 1.35 * len(polar) + 0.5)
    grid = figure.add_gridspec(len(polar), 2, width_ratios=[1.6, 1])
    profile_axes = figure.add_subplot(grid[:, 1])
    top = max(float(maps.mean(0).max()) for maps in polar.values())
    profiles = tabulate_profiles(polar, reach)
    for number, (name, maps) in enumerate(polar.items()):
        axes = figure.add_subplot(grid[number, 0])
        extent = (-180, 180, 0, reach)
        axes.imshow(
            np.mean([turn_to_middle(m) for m in maps], axis=0),
            origin="lower", aspect="auto", extent=extent, cmap=COLOUR_MAP, vmin=0, vmax=top,
        )  # fmt: skip
        axes.set_title(f"{name.replace('_', ' ')} ({len(maps)} slices)")
        axes.set_xticks([-180, -90, 0, 90, 180])
        axes.tick_params(labelbottom=number == len(polar) - 1)
        axes.set_ylabel("radius / can")
        own = profiles[profiles["class"] == name]
        colour = SERIES[number % len(SERIES)]
        label = name.replace("_", " ")
        profile_axes.plot(own["radius_share"], own["mean"], color=colour, label=label)
        low, high = own["mean"] - own["sd"], own["mean"] + own["sd"]
        profile_axes.fill_between(own["radius_share"], low.clip(0), high, color=colour, alpha=0.15)
    axes.set_xlabel("angle from the strongest direction (°)")
    profile_axes.set_xlabel("radius / can")
    profile_axes.set_ylabel("share of the attribution")
    profile_axes.set_ylim(0)
    profile_axes.legend()
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
    return png.getvalue()
