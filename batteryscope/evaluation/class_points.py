"""The measures of points that tell classes apart: accuracies and F1."""

import pandas as pd

from batteryscope.evaluation.comparison import compare_arms
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.predictions import read_all_predictions
from batteryscope.evaluation.straddling import read_splits
from batteryscope.evaluation.sweep_points import LEFT_OUT, flatten_points
from batteryscope.evaluation.sweep_scores import PointInputs, PointScorer


def score_class_points(inputs: PointInputs) -> pd.DataFrame:
    """Score the points at every level; see :class:`PointScorer`."""
    splits = read_splits(inputs.splits)
    scores = compare_arms(
        read_all_predictions(inputs.arms),
        inputs.manifest,
        inputs.label_columns,
        inputs.backbones,
        splits=splits,
    )
    ratios = {arm: find_left_out_ratio(split) for arm, split in splits.items()}
    return scores.assign(**{LEFT_OUT: scores["arm"].map(ratios)})


SCORER = PointScorer(score_class_points, flatten_points)
