"""The measures of points that tell classes apart: accuracies and F1."""

import pandas as pd

from batteryscope.evaluation.comparison import compare_arms
from batteryscope.evaluation.predictions import read_all_predictions
from batteryscope.evaluation.straddling import read_splits
from batteryscope.evaluation.sweep_points import flatten_points
from batteryscope.evaluation.sweep_scores import PointInputs, PointScorer


def score_class_points(inputs: PointInputs) -> pd.DataFrame:
    """Score the points at every level; see :class:`PointScorer`."""
    return compare_arms(
        read_all_predictions(inputs.arms),
        inputs.manifest,
        inputs.label_columns,
        inputs.backbones,
        splits=read_splits(inputs.splits),
    )


SCORER = PointScorer(score_class_points, flatten_points)
