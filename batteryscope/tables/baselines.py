"""What simple models reach on the training rows of one domain alone.

They see exactly the training rows of each repeat and predict its validation and test rows.
The networks' validation rows are left out of training here as well, so that the intervals
of all arms come from rows that no fit has seen.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.errors import InputError
from batteryscope.seeds import derive_seed
from batteryscope.tables.row_order import order_rows, thin_out
from batteryscope.tables.table_predictions import COLUMNS, MAIN_STUDY

Numbers = NDArray[np.float64]

RIDGE_ALPHAS = np.logspace(-3, 3, 13)
FOREST_TREES = 60
BOOSTED_TREES = 100
PROCESS_ITERATIONS = 30
# Rows that a process searches its length scales with, and those that it answers by: time grows with
# the third power of their number, memory with the square.
SEARCHED_ROWS, MOST_ROWS = 500, 1000
LEAST_ROWS = 2


def make_mean() -> Any:
    """Predict the mean of the training rows."""
    from sklearn.dummy import DummyRegressor

    return DummyRegressor(strategy="mean")


def make_linear() -> Any:
    """Ordinary least squares on standardised features."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LinearRegression())


def make_ridge() -> Any:
    """Ridge regression; its penalty is chosen by leave-one-out inside the training rows."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(alphas=RIDGE_ALPHAS))


def make_random_forest(seed: int) -> Any:
    """Random forest of 60 trees, otherwise with scikit-learn's defaults."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=FOREST_TREES, random_state=seed, n_jobs=1)


def make_gradient_boosting(seed: int) -> Any:
    """100 boosted trees of depth 2.

    Exact splits instead of histograms, because those need more rows per leaf (20) than a
    small table has.
    """
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(n_estimators=BOOSTED_TREES, max_depth=2, random_state=seed)


class ThinnedProcess:
    """A Gaussian process that learns from a part of many rows, evenly spaced.

    Features and target are standardised, so one start of the search for length scales suffices; it
    ends after 30 steps, beyond which only those of features that do not matter still move.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, features: Numbers, target: Numbers) -> "ThinnedProcess":
        """Find length scales with :data:`SEARCHED_ROWS`, answer by :data:`MOST_ROWS`."""
        places = thin_out(len(target), SEARCHED_ROWS)
        self.process = make_gaussian_process(self.seed, features.shape[1])
        self.process.fit(features[places], target[places])
        if len(places) < len(target):
            places = thin_out(len(target), MOST_ROWS)
            self.process[-1].set_params(kernel=self.process[-1].kernel_, optimizer=None)
            self.process.fit(features[places], target[places])
        return self

    def predict(self, features: Numbers) -> Numbers:
        """Return what the process expects, (rows,)."""
        return np.asarray(self.process.predict(features), dtype=np.float64)


def make_gaussian_process(seed: int, n_features: int) -> Any:
    """Gaussian process with one length scale per feature and white noise."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(
        np.full(n_features, 2.0), (1e-1, 1e3)
    ) + WhiteKernel(1e-1, (1e-6, 1e1))
    process = GaussianProcessRegressor(
        kernel, optimizer=_search_briefly, normalize_y=True, random_state=seed
    )
    return make_pipeline(StandardScaler(), process)


MAKERS: dict[str, Callable[[int], Any]] = {  # by seed, of which not every model makes use
    "mean": lambda _: make_mean(),
    "linear": lambda _: make_linear(),
    "ridge": lambda _: make_ridge(),
    "random_forest": make_random_forest,
    "gradient_boosting": make_gradient_boosting,
    "gaussian_process": ThinnedProcess,
}


def fit_baseline(name: str, features: Numbers, target: Numbers, seed: int) -> Any:
    """Fit one baseline.

    Parameters
    ----------
    name
        ``mean, linear, ridge, random_forest, gradient_boosting`` or ``gaussian_process``.
    features
        (n_rows, n_features), any units.
    target
        (n_rows,).
    seed
        Of the trees.

    Returns
    -------
    object
        Fitted regressor with ``predict``.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in MAKERS:
        raise InputError(f"The baseline '{name}' is unknown; choose among {', '.join(MAKERS)}.")
    with warnings.catch_warnings():
        # A length scale at its bound says that a feature does not matter: no defect.
        warnings.simplefilter("ignore")
        return MAKERS[name](seed).fit(features, target)


def seed_baseline(seed: int, name: str, target: str, domain: str, repeat: int) -> int:
    """Return the seed of one fit."""
    return derive_seed(seed, "baseline", name, target, domain, repeat)


def predict_baselines(
    manifest: pd.DataFrame, split: pd.DataFrame, settings: TableStudySettings, seed: int
) -> pd.DataFrame:
    """Predict validation and test rows by every wanted baseline.

    Parameters
    ----------
    manifest
        ``sample_id, domain``, features and targets.
    split
        ``sample_id, repeat, fold, role``.
    settings
        The study: features, targets, ``evaluate.baselines``, ``ablations.target_rows`` and
        ``split.seed`` for the order of :func:`order_rows`.
    seed
        Of the fits.

    Returns
    -------
    DataFrame
        ``sample_id, domain, repeat, fold, role, arm, target, ablation, value, y_true,
        y_pred`` with arms ``baseline_<name>``. The main study has ablation "" and value
        NaN in every domain; ``target_rows`` repeats it in the target domains with the first
        ``value`` training rows only, where there are more.

    Raises
    ------
    InputError
        If a number is missing, or a domain has fewer than 2 training rows.
    """
    features, targets = list(settings.dataset.features), list(settings.dataset.targets)
    numbers = manifest[[*features, *targets]].to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise InputError(
            f"The column '{[*features, *targets][column]}' has no number in row "
            f"{manifest['sample_id'].iloc[row]}; fill it in or remove the row."
        )
    joined = split[["sample_id", "repeat", "fold", "role"]].merge(
        manifest[["sample_id", "domain", *features, *targets]], on="sample_id", validate="m:1"
    )
    tables = [pd.DataFrame(columns=COLUMNS)]
    for _, rows in joined.groupby(["domain", "repeat", "fold"], sort=True):
        domain, repeat = str(rows["domain"].iloc[0]), int(rows["repeat"].iloc[0])
        train, asked = rows[rows["role"] == "train"], rows[rows["role"] != "train"]
        if len(train) < LEAST_ROWS:
            raise InputError(
                f"The domain '{domain}' has {len(train)} training rows in repeat {repeat}, "
                f"expected at least {LEAST_ROWS}; lower split.test_fraction or add rows."
            )
        sizes = settings.ablations.target_rows if domain != settings.dataset.source else []
        order = order_rows(train["sample_id"], settings.split.seed, repeat)
        ordered = train.set_index("sample_id").loc[order]
        parts = [(MAIN_STUDY, np.nan, ordered)] + [
            ("target_rows", float(n), ordered.iloc[:n])
            for n in sizes
            if LEAST_ROWS <= n < len(ordered)
        ]
        for ablation, value, part in parts:
            for target in targets:
                for name in settings.evaluate.baselines:
                    fit_seed = seed_baseline(seed, name, target, domain, repeat)
                    model = fit_baseline(
                        name,
                        part[features].to_numpy(dtype=np.float64),
                        part[target].to_numpy(dtype=np.float64),
                        fit_seed,
                    )
                    tables.append(
                        asked[["sample_id", "domain", "repeat", "fold", "role"]].assign(
                            arm=BASELINE_PREFIX + name,
                            target=target,
                            ablation=ablation,
                            value=value,
                            y_true=asked[target].astype(np.float64),
                            y_pred=model.predict(asked[features].to_numpy(dtype=np.float64)),
                        )[COLUMNS]
                    )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _search_briefly(
    loss: Callable[[Numbers], tuple[float, Numbers]], start: Numbers, bounds: Numbers
) -> tuple[Numbers, float]:
    """Minimise with the gradient, within bounds, for a limited number of steps."""
    from scipy.optimize import minimize

    options = {"maxiter": PROCESS_ITERATIONS}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return found.x, float(found.fun)
