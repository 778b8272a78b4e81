"""One tidy table of all arms beside the baselines and the published values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import PaperValue
from batteryscope.evaluation.aggregate import aggregate_to_images, aggregate_to_specimens
from batteryscope.evaluation.flat_metrics import FITS
from batteryscope.evaluation.grade_metrics import GRADE_METRICS, measure_grades
from batteryscope.evaluation.labels import find_targets, list_class_labels, look_up_label
from batteryscope.evaluation.metrics import (
    PROBABILITY_METRICS,
    VERDICT_METRICS,
    count_confusions,
    measure_probabilities,
    measure_verdicts,
    tabulate_classes,
)
from batteryscope.evaluation.paper_values import add_paper_values
from batteryscope.evaluation.predictions import FIT, find_classes, get_probabilities, is_baseline
from batteryscope.evaluation.straddling import drop_straddling_specimens
from batteryscope.manifest.grades import list_grades
from batteryscope.samples.choose import samples_in

COLUMNS = [
    "arm", "backbone", "target", "domain", "level", "metric", "mean", "sd", "n", "paper"
]  # fmt: skip
METRICS = (*VERDICT_METRICS, *GRADE_METRICS, *PROBABILITY_METRICS, "pooled_accuracy")


def list_levels(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the test predictions at each level that exists.

    Parameters
    ----------
    predictions
        Predictions of all arms, baselines at image level (``tile = -1``).
    manifest
        Manifest, for ``specimen_id``.
    splits
        Split of each arm. An arm that trained on the specimens that it was tested on has no
        verdicts per specimen.

    Returns
    -------
    dict
        ``tile`` (models only), ``image`` and, where those of all tested images are known,
        ``specimen``. An arm that sees every image as one tile has no level ``tile``, which would
        repeat its images. Slices of scans are the level ``slice`` instead of ``tile`` and
        ``image``.
    """
    test = predictions[predictions["role"] == "test"]
    images = aggregate_to_images(test)
    samples = samples_in(manifest.columns)
    levels = {"tile": _keep_voting_arms(test[test["tile"] >= 0]), samples.noun: images}
    levels = {name: table for name, table in levels.items() if name in samples.levels}
    specimens = manifest.set_index("sample_id")["specimen_id"]
    if images["sample_id"].map(specimens).notna().all():  # else some would be judged for all
        levels["specimen"] = drop_straddling_specimens(
            aggregate_to_specimens(images, specimens), splits or {}, manifest
        )
    return {name: table for name, table in levels.items() if len(table)}


def _keep_voting_arms(tiles: pd.DataFrame) -> pd.DataFrame:
    """Leave out the arms none of whose images is judged by several tiles."""
    votes = tiles.groupby(["arm", *FIT, "sample_id"])["tile"].transform("size")
    return tiles[votes.groupby(tiles["arm"]).transform("max") > 1]


def compare_arms(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    label_columns: Sequence[str],
    backbones: Mapping[str, str],
    paper: Sequence[PaperValue] = (),
    splits: Mapping[str, pd.DataFrame] | None = None,
    mismatched: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Score every arm at every level, for the class and for each label column.

    Parameters
    ----------
    predictions
        Stacked predictions of all arms and baselines (:func:`join_predictions`).
    manifest
        Manifest with ``sample_id, specimen_id, domain, class`` and the label columns.
    label_columns
        Names of the label columns; with one only, there is no target beside the class.
    backbones
        Network of each arm; baselines have none.
    paper
        Published values. They stand in the column ``paper`` beside the same metric,
        target, domain and level of every model; one without counterpart gets a row
        of its own, of the arm ``paper``.
    splits
        As for :func:`list_levels`.
    mismatched
        Arms that were tested otherwise than they were trained, and the arm whose networks
        they are. No published value stands beside them unless it names them.

    Returns
    -------
    DataFrame
        Columns ``arm, backbone, target, domain, level, metric, mean, sd, n, paper, fits``.
        ``mean`` and ``sd`` (ddof 1; empty for a single fit) are over repeats and folds,
        ``n`` counts distinct images (specimens at level specimen).
        ``pooled_accuracy`` counts every test image once: the mean over images of the
        share of its fits that were right. Grades (classes that the manifest puts into an order)
        have ``quadratic_kappa, grade_mae, adjacent_accuracy`` too. Domains have rows of their own
        if the test images come from several. Order: arms as first met, models before baselines.
    """
    class_labels = list_class_labels(manifest, label_columns)
    targets = find_targets(label_columns)
    bases, splits = mismatched or {}, splits or {}
    same = {name: splits[arm] for name, arm in bases.items() if arm in splits}
    levels = list_levels(predictions, manifest, {**splits, **same})
    rows: list[dict[str, object]] = []
    grades = list_grades(manifest)
    for arm in order_arms(predictions):
        for level, table in levels.items():
            mine = table[table["arm"] == arm]
            if mine.empty:
                continue
            unit_domains = _find_domains(mine, manifest, level)
            known = sorted(set(unit_domains) - {""})
            for domain in ["", *known] if len(known) > 1 else [""]:
                part = mine if domain == "" else mine[(unit_domains == domain).to_numpy()]
                for target in targets:
                    place = {
                        "arm": arm,
                        "backbone": ""
                        if is_baseline(arm)
                        else backbones.get(bases.get(arm, arm), ""),
                        "target": target,
                        "domain": domain,
                        "level": level,
                    }
                    rows.extend(place | row for row in _score(part, target, class_labels, grades))
    comparison = pd.DataFrame(rows).assign(paper=np.nan)[[*COLUMNS, FITS]]
    comparison["n"] = comparison["n"].astype("Int64")
    models = {arm for arm in comparison["arm"] if not is_baseline(arm)} - set(bases)
    return add_paper_values(comparison, paper, models)


def order_arms(predictions: pd.DataFrame) -> list[str]:
    """List the arms as first met, models before baselines."""
    arms = list(dict.fromkeys(predictions["arm"]))
    return sorted(arms, key=is_baseline)


def compare_classes(levels: Mapping[str, pd.DataFrame], grades: Sequence[str] = ()) -> pd.DataFrame:
    """Tabulate precision, recall, F1 and Jaccard index per arm, level and class.

    All test predictions of an arm count together; ``support`` counts predictions,
    ``n`` distinct images (specimens). Classes come in the order of ``grades``, or sorted.
    """
    tables = []
    for level, table in levels.items():
        classes = list(grades) or find_classes(table)
        for arm in order_arms(table):
            mine = table[table["arm"] == arm]
            units = mine.groupby("y_true")["sample_id"].nunique().reindex(classes, fill_value=0)
            scores = tabulate_classes(mine["y_true"], mine["y_pred"], classes)
            tables.append(
                scores.assign(arm=arm, level=level, n=units.to_numpy())[
                    ["arm", "level", *scores.columns, "n"]
                ]
            )
    return pd.concat(tables, ignore_index=True)


def compare_confusions(
    levels: Mapping[str, pd.DataFrame], grades: Sequence[str] = ()
) -> pd.DataFrame:
    """Count ``arm, level, y_true, y_pred, count`` over all test predictions, zeros included.

    Classes come in the order of ``grades``, or sorted.
    """
    tables = []
    for level, table in levels.items():
        for arm in order_arms(table):
            mine = table[table["arm"] == arm]
            counts = count_confusions(
                mine["y_true"], mine["y_pred"], list(grades) or find_classes(table)
            )
            tables.append(
                counts.assign(arm=arm, level=level)[["arm", "level", "y_true", "y_pred", "count"]]
            )
    return pd.concat(tables, ignore_index=True)


def _score(
    table: pd.DataFrame, target: str, class_labels: pd.DataFrame, grades: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Score one arm at one level for one target: mean and sd over fits, then pooled."""
    n = table["sample_id"].nunique()
    true = look_up_label(table["y_true"], target, class_labels)
    pred = look_up_label(table["y_pred"], target, class_labels)
    classes = find_classes(table)
    per_fit = []
    for rows in table.groupby(FIT, sort=True).indices.values():
        scores = measure_verdicts(true.iloc[rows], pred.iloc[rows])
        if target == "":
            fit = table.iloc[rows]
            scores |= measure_probabilities(fit["y_true"], get_probabilities(fit), classes)
            if grades:
                scores |= measure_grades(fit["y_true"], fit["y_pred"], grades)
        per_fit.append(scores)
    fits = pd.DataFrame(per_fit)
    scored: list[dict[str, object]] = [
        {
            "metric": m,
            "mean": fits[m].mean(),
            "sd": fits[m].std(ddof=1),
            "n": n,
            FITS: int(fits[m].count()),
        }
        for m in METRICS
        if m in fits
    ]
    # The same image may be tested by several fits; it still is one image.
    units = (true == pred).groupby([table["sample_id"], table["y_true"]]).mean()
    pooled = {"metric": "pooled_accuracy", "mean": units.mean(), "sd": np.nan, "n": n}
    scored.append({**pooled, FITS: len(fits)})
    return scored


def _find_domains(table: pd.DataFrame, manifest: pd.DataFrame, level: str) -> "pd.Series[str]":
    key = "specimen_id" if level == "specimen" else "sample_id"
    known = manifest[manifest[key].notna()].drop_duplicates(key).set_index(key)["domain"]
    return table["sample_id"].map(known).fillna("")
