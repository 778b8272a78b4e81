"""What needs no network: the mean, one measured proxy, forests on numbers, and physics."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.targets import C_RATE, Quantity
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, PHYSICS, Baseline
from batteryscope.evaluation.baseline_fits import list_baseline_fits, make_forest
from batteryscope.evaluation.number_metrics import find_quantity
from batteryscope.evaluation.number_predictions import KEYS, PRED, TRUE
from batteryscope.evaluation.sample_features import PROXIES, FeatureSources, gather_features
from batteryscope.physics.porosity import read_porosities
from batteryscope.seeds import derive_seed

Floats = NDArray[np.float64]
N_TREES = 100
ASKED = ("validation", "test")


def choose_features(
    sources: FeatureSources, known: Mapping[str, Baseline], wanted: Collection[str]
) -> dict[str, pd.DataFrame | None]:
    """Return what each baseline of numbers sees, by its name, as numbers.

    Parameters
    ----------
    sources
        Where from.
    known
        The baselines that a study can have.
    wanted
        ``evaluate.baselines``; others are always there, where a study has what they need.

    Returns
    -------
    dict
        Name → one row per ``sample_id``; None for the mean, which sees nothing. Names are one
        column each; metadata that tell nothing apart are left out.
    """
    names = [n for n, own in known.items() if n in wanted or not own.is_asked_for]
    found = gather_features(sources, names)
    shown = {n: pd.get_dummies(table, dtype=float) for n, table in found.items() if table.shape[1]}
    return {"mean": None, **shown}


def predict_baselines(
    manifest: pd.DataFrame,
    features: Mapping[str, pd.DataFrame | None],
    split: pd.DataFrame,
    targets: Sequence[str],
    seed: int,
    suffix: str = "",
    quantities: Sequence[Quantity] = (),
    trees: int | None = None,
) -> pd.DataFrame:
    """Fit every baseline on the training images of each fit, predict the others.

    ``mean``: mean of the training targets. ``porosity`` and ``thickness``: one number per
    image (the porosity by Otsu's thresholds, the thickness of the coating), from which the
    target is interpolated between the means of the training electrodes' groups. All others are
    random forests: ``texture_forest`` on grey levels, co-occurrence and local patterns,
    ``grey_levels`` on those of the frame, ``metadata`` on the acquisition, ``winding`` on what was
    measured on windings. A forest learns the logarithm where the network does.

    Parameters
    ----------
    manifest
        Sample table with targets.
    features
        What each of them sees, of :func:`choose_features`.
    split
        Roles of one split.
    targets
        Target columns.
    seed
        Of the forests.
    suffix
        Put after the names of the baselines, to tell splits apart.
    quantities
        What the targets are; without any, capacities.
    trees
        Of a forest; as many as baselines have if not given.

    Returns
    -------
    DataFrame
        As the predictions of an arm, ``tile`` -1, arms ``baseline_<name><suffix>``.

    Raises
    ------
    InputError
        A fit has no training images.
    """
    from sklearn.ensemble import RandomForestRegressor

    known = manifest.set_index("sample_id", drop=False)
    for numbers in features.values():
        known = known if numbers is None else known[known.index.isin(numbers.index)]
    scales = _Scales.of(targets, quantities)
    tables = []
    for fit in list_baseline_fits(split[split["sample_id"].isin(known.index)], ASKED):
        asked = fit.asked["sample_id"].tolist()
        truth = known.loc[asked, list(targets)].to_numpy(float)
        learnt = known.loc[fit.train, list(targets)].to_numpy(float)
        for name, numbers in features.items():
            if numbers is None:
                predicted = np.repeat(learnt.mean(axis=0, keepdims=True), len(asked), axis=0)
            elif name in PROXIES:
                groups = known.loc[fit.train, "class"]
                proxy = numbers.iloc[:, 0]
                knots = find_knots(proxy.loc[fit.train].to_numpy(), learnt, groups)
                predicted = interpolate(proxy.loc[asked].to_numpy(), *knots)
            else:
                chance = derive_seed(seed, name.replace("_", " "))
                # One thread: several would add up the trees in any order, and gain no time here.
                forest = RandomForestRegressor(trees or N_TREES, random_state=chance)
                model, seen = make_forest(forest, numbers), numbers.astype(float)
                values, scale = scales.shrink(learnt)
                model.fit(seen.loc[fit.train], values[:, 0] if values.shape[1] == 1 else values)
                found = np.asarray(model.predict(seen.loc[asked])).reshape(len(asked), -1)
                predicted = scales.grow(found, scale)
            table = fit.asked.assign(arm=f"{BASELINE_PREFIX}{name}{suffix}")
            values_of = {f"{TRUE}{t}": truth[:, i] for i, t in enumerate(targets)}
            values_of |= {f"{PRED}{t}": predicted[:, i] for i, t in enumerate(targets)}
            tables.append(table.assign(**values_of))
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _Scales:
    """How forests weigh the targets: errors in percent of points of a curve, else spreads."""

    is_log: NDArray[np.bool_]
    relative: bool

    @classmethod
    def of(cls, targets: Sequence[str], quantities: Sequence[Quantity]) -> "_Scales":
        known = {q.name: q for q in quantities}
        logs = [t in known and known[t].transform == "log" for t in targets]
        return cls(np.array(logs, bool), all(t not in known or known[t].relative for t in targets))

    def shrink(self, truth: Floats) -> tuple[Floats, Floats]:
        """Return what a forest learns, and what it is multiplied with to come back."""
        values = np.where(self.is_log, np.log(np.where(self.is_log, truth, 1)), truth)
        scale = values.mean(axis=0) if self.relative else values.std(axis=0)
        scale = np.where(scale == 0, 1.0, scale)
        return values / scale, scale

    def grow(self, values: Floats, scale: Floats) -> Floats:
        """Return learnt values in the units of the targets."""
        grown = values * scale
        return np.where(self.is_log, np.exp(np.where(self.is_log, grown, 0)), grown)


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
    quantities: Sequence[Quantity] = (),
) -> pd.DataFrame:
    """Give every test image what the half-cell model says for its electrode's porosity.

    It knows capacities over the C-rate; of other targets predictions are NaN.

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
        point = find_quantity(target, quantities)
        found = None if point.at is None else simulated.get((point.at, point.unit))
        is_known = found is not None and point.axis == C_RATE
        table[f"{PRED}{target}"] = found if is_known else np.full(len(manifest), np.nan)
    roles = split.loc[split["role"] == "test", ["sample_id", "repeat", "fold", "role"]]
    table = roles.merge(table, on="sample_id").assign(tile=-1, arm=PHYSICS)
    return table[[*KEYS, *(c for c in table.columns if c not in KEYS)]]
