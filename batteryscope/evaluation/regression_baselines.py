"""What needs no network: the mean, one measured proxy, texture statistics, and physics."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.errors import InputError
from batteryscope.evaluation.regression_metrics import read_target
from batteryscope.evaluation.regression_predictions import FIT, KEYS, PRED, TRUE
from batteryscope.physics.porosity import read_porosities
from batteryscope.seeds import derive_seed

Floats = NDArray[np.float64]
PROXIES = {"porosity": "porosity_otsu", "thickness": "thickness_px"}
BASELINES = ("mean", "porosity", "thickness", "texture_forest")
NO_TEXTURE = ("sample_id", "tile", "porosity_otsu", "active_share", "thickness_px", "angle_deg")
PHYSICS = "physics"
N_TREES = 100


def predict_baselines(
    manifest: pd.DataFrame,
    measurements: pd.DataFrame,
    split: pd.DataFrame,
    targets: Sequence[str],
    seed: int,
    suffix: str = "",
) -> pd.DataFrame:
    """Fit every baseline on the training images of each fit, predict the others.

    ``mean``: mean of the training targets. ``porosity`` and ``thickness``: one number per
    image (the porosity by Otsu's thresholds, the thickness of the coating), from which the
    capacity is interpolated between the means of the training electrodes' groups.
    ``texture_forest``: a random forest on grey levels, co-occurrence and local patterns.

    Parameters
    ----------
    manifest
        Sample table with targets.
    measurements
        What preprocessing measured, by ``sample_id`` and ``tile``.
    split
        Roles of one split.
    targets
        Target columns.
    seed
        Of the forests.
    suffix
        Put after the names of the baselines, to tell splits apart.

    Returns
    -------
    DataFrame
        As the predictions of an arm, ``tile`` -1, arms ``baseline_<name><suffix>``.

    Raises
    ------
    InputError
        A fit has no training images.
    """
    numbers = measurements.drop(columns="tile").groupby("sample_id").mean()
    known = manifest[manifest["sample_id"].isin(numbers.index)].set_index("sample_id")
    tables = []
    for (repeat, fold), roles in split.groupby(FIT):
        roles = roles[roles["sample_id"].isin(known.index)]
        train = roles.loc[roles["role"] == "train", "sample_id"]
        asked = roles[roles["role"] != "train"]
        if asked.empty:
            continue
        if train.empty:
            raise InputError(
                f"Repeat {repeat}, fold {fold}: no training image is left for the baselines; "
                "compare split.test_where, by which they are chosen as well, with split.leave_out."
            )
        truth = known.loc[asked["sample_id"], list(targets)].to_numpy(float)
        for name in BASELINES:
            predicted = _predict(name, known, numbers, train, asked["sample_id"], targets, seed)
            table = pd.DataFrame(
                {
                    "sample_id": asked["sample_id"].to_numpy(),
                    "tile": -1,
                    "repeat": repeat,
                    "fold": fold,
                    "role": asked["role"].to_numpy(),
                    "arm": f"baseline_{name}{suffix}",
                }
            )
            values = {f"{TRUE}{t}": truth[:, i] for i, t in enumerate(targets)}
            values |= {f"{PRED}{t}": predicted[:, i] for i, t in enumerate(targets)}
            tables.append(table.assign(**values))
    return pd.concat(tables, ignore_index=True)


def _predict(
    name: str,
    known: pd.DataFrame,
    numbers: pd.DataFrame,
    train: pd.Series,
    asked: pd.Series,
    targets: Sequence[str],
    seed: int,
) -> Floats:
    truth = known.loc[train, list(targets)].to_numpy(float)
    if name == "mean":
        return np.repeat(truth.mean(axis=0, keepdims=True), len(asked), axis=0)
    if name in PROXIES:
        proxy = numbers[PROXIES[name]]
        knots = find_knots(proxy.loc[train].to_numpy(), truth, known.loc[train, "class"])
        return interpolate(proxy.loc[asked].to_numpy(), *knots)
    from sklearn.ensemble import RandomForestRegressor

    columns = [c for c in numbers.columns if c not in NO_TEXTURE]
    # One thread: several would add up the trees in any order, and so few rows gain no time.
    forest = RandomForestRegressor(N_TREES, random_state=derive_seed(seed, "texture forest"))
    # Relative targets, because the error that counts is a relative one.
    scale = truth.mean(axis=0)
    forest.fit(numbers.loc[train, columns].to_numpy(), truth / scale)
    return np.asarray(forest.predict(numbers.loc[asked, columns].to_numpy()) * scale)


def find_knots(proxy: Floats, truth: Floats, groups: pd.Series) -> tuple[Floats, Floats]:
    """Return the mean proxy and mean targets of every group, in the order of the proxy.

    Parameters
    ----------
    proxy : (n,) array
    truth : (n, n_targets) array
    groups
        Group of every image, such as its nominal porosity.
    """
    names = sorted(set(groups))
    of_group = [groups.to_numpy() == name for name in names]
    x = np.array([proxy[mask].mean() for mask in of_group])
    y = np.stack([truth[mask].mean(axis=0) for mask in of_group])
    order = np.argsort(x)
    x, y = x[order], y[order]
    apart = np.concatenate([[True], np.diff(x) > 1e-9])
    return x[apart], y[apart]


def interpolate(at: Floats, x: Floats, y: Floats) -> Floats:
    """Interpolate every column of y by PCHIP, constant beyond the ends; with two knots a line."""
    from scipy.interpolate import PchipInterpolator

    inside = np.clip(at, x[0], x[-1])
    if len(x) < 3:
        return np.stack([np.interp(inside, x, column) for column in y.T], axis=1)
    return np.asarray(PchipInterpolator(x, y)(inside))


def predict_physics(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    grid: pd.DataFrame,
    cell: HalfCellSettings,
    targets: Sequence[str],
) -> pd.DataFrame:
    """Give every test image what the half-cell model says for its electrode's porosity.

    Raises
    ------
    InputError
        The porosity column is missing or holds no percentages.
    """
    from batteryscope.physics.half_cell import smooth_local_porosity

    porosities = read_porosities(manifest, cell.porosity_column, "leave physics out")
    simulated = smooth_local_porosity(grid, porosities, cell)
    table = manifest[["sample_id"]].copy()
    for target in targets:
        table[f"{TRUE}{target}"] = manifest[target].to_numpy()
        table[f"{PRED}{target}"] = simulated.get(
            read_target(target), np.full(len(manifest), np.nan)
        )
    roles = split.loc[split["role"] == "test", ["sample_id", "repeat", "fold", "role"]]
    table = roles.merge(table, on="sample_id").assign(tile=-1, arm=PHYSICS)
    return table[[*KEYS, *(c for c in table.columns if c not in KEYS)]]
