"""How much of the label each circumstance of the acquisition tells: counts and information."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from batteryscope.audit.sessions import find_sessions

MOST_VALUES = 12  # numbers with more different values are grouped
GROUPS = 8
SETTINGS = (
    "brightness", "contrast", "detector", "voltage_kv", "magnification", "working_distance_mm",
    "pixel_size_um", "instrument", "bit_depth",
)  # fmt: skip
TOLD = {
    "session": "session",
    "day": "day of acquisition",
    "brightness": "brightness (detector)",
    "contrast": "contrast (detector)",
    "detector": "detector",
    "voltage_kv": "voltage",
    "magnification": "magnification",
    "working_distance_mm": "working distance",
    "pixel_size_um": "pixel size",
    "instrument": "instrument",
    "bit_depth": "bit depth",
    "size": "size of the picture",
    "data_bar_px": "height of the data bar",
}
CONFOUNDING_COLUMNS = [
    "factor", "values", "known", "mutual_information_nats", "share_of_label"
]  # fmt: skip


def list_factors(
    manifest: pd.DataFrame, data_bar_px: "pd.Series[int] | None" = None
) -> dict[str, "pd.Series[str]"]:
    """Return the circumstances that vary, as texts by ``sample_id``; unknown values left out.

    Parameters
    ----------
    manifest
        Sample table.
    data_bar_px
        Height of the data bar that was found, by ``sample_id``.
    """
    table = manifest.set_index("sample_id")
    by, sessions = find_sessions(manifest)
    days = table["acquired_at"].dropna().dt.strftime("%Y-%m-%d")
    found = {"session": sessions if by == "session_id" else sessions[:0], "day": days}
    found |= {name: _as_texts(table[name]) for name in SETTINGS if name in table}
    found["size"] = table["width_px"].astype(str) + " × " + table["height_px"].astype(str)
    if data_bar_px is not None:
        found["data_bar_px"] = data_bar_px.reindex(table.index).dropna().astype(str)
    return {name: values for name, values in found.items() if len(values.unique()) > 1}


def _as_texts(values: "pd.Series") -> "pd.Series[str]":
    """Values as texts; numbers of many kinds in eight groups of equal size."""
    known = values.dropna()
    if pd.api.types.is_numeric_dtype(known) and known.nunique() > MOST_VALUES:
        return pd.qcut(known, GROUPS, duplicates="drop").astype(str)
    return known.astype(str)


def measure_confounding(
    factors: Mapping[str, "pd.Series[str]"], labels: "pd.Series[str]"
) -> pd.DataFrame:
    """Measure how much of the label each circumstance tells.

    Parameters
    ----------
    factors
        As :func:`list_factors` returns them.
    labels
        Class by ``sample_id``.

    Returns
    -------
    DataFrame
        :data:`CONFOUNDING_COLUMNS`, the most telling first. ``share_of_label`` is
        (I − E) / (H − E): the mutual information I of circumstance and label beyond what it is on
        average when labels are drawn by lot (E, exactly, by the hypergeometric model of Vinh et
        al. 2010), as a share of the entropy H of the label beyond that. 1: the circumstance tells
        the label; 0: no more than chance; missing where every sample has a value of its own.
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    rows = []
    for name, values in factors.items():
        true = labels.loc[values.index].to_numpy(dtype=str)
        found = values.to_numpy(dtype=str)
        counts = contingency_matrix(true, found, sparse=True).astype(np.int64)
        information = float(mutual_info_score(None, None, contingency=counts))
        expected = float(expected_mutual_information(counts, len(true)))
        entropy = float(mutual_info_score(true, true))
        left = entropy - expected
        share = max(0.0, (information - expected) / left) if left > 1e-3 else np.nan
        rows.append((name, values.nunique(), len(values) / len(labels), information, share))
    table = pd.DataFrame(rows, columns=CONFOUNDING_COLUMNS)
    return table.sort_values(
        ["share_of_label", "factor"], ascending=[False, True], ignore_index=True
    )


def share_variance(values: pd.DataFrame, factor: "pd.Series[str]") -> tuple[float, float, int]:
    """Return how much of the variance of numbers lies between the values of a circumstance.

    Parameters
    ----------
    values
        Numbers in one unit, one row per independent unit, which may occur more than once.
    factor
        The circumstance of every row.

    Returns
    -------
    share
        (S_between − (k − 1) · s_within²) / S, the sums of squares of k groups beyond what groups
        drawn by lot would give (Kelley's ε²), at least 0; over several columns they are added up.
        1: the circumstance tells the numbers. Missing where every row has a value of its own.
    p_value
        Of the F test.
    groups
        k.
    """
    from scipy.stats import f as f_distribution

    numbers = values.to_numpy(np.float64)
    _, places = np.unique(factor.to_numpy(dtype=str), return_inverse=True)
    n, k = len(numbers), int(places.max(initial=-1)) + 1
    total = float(((numbers - numbers.mean(axis=0)) ** 2).sum()) if n else 0.0
    if k < 2 or n <= k or total <= 0:
        return np.nan, 1.0, k
    means = np.zeros((k, numbers.shape[1]))
    np.add.at(means, places, numbers)
    means /= np.bincount(places)[:, None]
    within = float(((numbers - means[places]) ** 2).sum())
    of_error = within / (n - k)
    share = max(0.0, (total - within - (k - 1) * of_error) / total)
    if of_error <= total * 1e-12:
        return share, 0.0, k
    return share, float(f_distribution.sf((total - within) / (k - 1) / of_error, k - 1, n - k)), k


def measure_shared_variance(
    factors: Mapping[str, "pd.Series[str]"], values: pd.DataFrame, units: "pd.Series[str]"
) -> pd.DataFrame:
    """Measure how much of the variance of numbers each circumstance tells.

    Parameters
    ----------
    factors
        As :func:`list_factors` returns them.
    values
        Numbers in one unit, by ``sample_id``.
    units
        What is independent (specimen, else sample), by ``sample_id``. A unit counts once at
        each value of a circumstance, with the mean of its samples.

    Returns
    -------
    DataFrame
        ``factor, values, known, share_of_variance, p_value``, the most telling first.
    """
    rows = []
    for name, found in factors.items():
        places = [units.loc[found.index].to_numpy(), found.to_numpy()]
        once = values.loc[found.index].groupby(places).mean()
        told = once.index.get_level_values(1).to_series()
        share, p_value, groups = share_variance(once, told)
        rows.append((name, groups, len(found) / len(values), share, p_value))
    columns = ["factor", "values", "known", "share_of_variance", "p_value"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["share_of_variance", "factor"], ascending=[False, True], ignore_index=True
    )


def count_crossings(
    factors: Mapping[str, "pd.Series[str]"], labels: "pd.Series[str]"
) -> pd.DataFrame:
    """Count samples of every class at every value: ``factor, value, class, count``."""
    tables = [
        pd.DataFrame({"value": values.to_numpy(), "class": labels.loc[values.index].to_numpy()})
        .value_counts(sort=False)
        .rename("count")
        .reset_index()
        .assign(factor=name)
        for name, values in factors.items()
    ]
    columns = ["factor", "value", "class", "count"]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def average_crossings(
    factors: Mapping[str, "pd.Series[str]"], values: pd.DataFrame
) -> pd.DataFrame:
    """Average numbers at every value of every circumstance: ``factor, value, n, target, mean``.

    Parameters
    ----------
    factors
        As :func:`list_factors` returns them.
    values
        Numbers by ``sample_id``, a column per target, whatever its name.
    """
    rows = []
    for target in values.columns:
        for name, found in factors.items():
            groups = values.loc[found.index, target].groupby(found.to_numpy())
            told = zip(groups.mean().items(), groups.size(), strict=True)
            rows += [(name, value, int(n), target, mean) for (value, mean), n in told]
    return pd.DataFrame(rows, columns=["factor", "value", "n", "target", "mean"])
