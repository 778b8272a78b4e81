"""The measures of the points of a sweep over a study of tables."""

import numpy as np
import pandas as pd

from batteryscope.evaluation.straddling import read_splits
from batteryscope.evaluation.sweep_points import LEFT_OUT, flatten_points
from batteryscope.evaluation.sweep_scores import PointInputs, PointScorer
from batteryscope.tables.compare import find_left_out_ratios
from batteryscope.tables.scores import LEVEL, score_predictions
from batteryscope.tables.table_predictions import find_family, select_main_study

PLACES = ["target", "domain"]


def score_table_points(inputs: PointInputs) -> pd.DataFrame:
    """Score the judged arm of every point; at home that is the source network.

    Parameters
    ----------
    inputs
        Predictions, and by ``bases`` which arm of the study is judged.

    Returns
    -------
    DataFrame
        ``target, domain, metric, mean, sd, n, arm, level, backbone, paper``: MAPE (percent), MAE
        and root mean squared error (unit of the target) and R² of the test rows of every target
        and domain by itself; mean and standard deviation over repeats. With splits also
        :data:`LEFT_OUT`.

    Raises
    ------
    InputError
        If predictions cannot be read.
    """
    scored, splits = [], read_splits(inputs.splits)
    for name, predictions in inputs.read_predictions():
        main, judged = select_main_study(predictions), inputs.bases.get(name, name)
        arms = [judged, find_family(judged).source]
        mine = main[(main["role"] == "test") & main["arm"].isin(arms)]
        counts = mine.groupby(PLACES)["sample_id"].nunique().rename("n").reset_index()
        scores = score_predictions(mine).groupby([*PLACES, "metric"])["score"]
        summary = pd.DataFrame({"mean": scores.mean(), "sd": scores.std(ddof=1)}).reset_index()
        if name in splits:
            domains = inputs.manifest.set_index("sample_id")["domain"]
            ratios = find_left_out_ratios(splits[name], domains)
            summary[LEFT_OUT] = summary["domain"].map(ratios)
        scored.append(summary.merge(counts, on=PLACES).assign(arm=name))
    return pd.concat(scored, ignore_index=True).assign(level=LEVEL, backbone="", paper=np.nan)


SCORER = PointScorer(score_table_points, flatten_points)
