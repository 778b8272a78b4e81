"""The measures of points that predict numbers from pictures: MAPE, MAE, RMSE and R²."""

import pandas as pd

from batteryscope.evaluation.number_comparison import compare_numbers
from batteryscope.evaluation.number_predictions import gather_images
from batteryscope.evaluation.paired import find_left_out_ratio
from batteryscope.evaluation.straddling import find_straddling_arms, read_splits
from batteryscope.evaluation.sweep_points import LEFT_OUT, flatten_points
from batteryscope.evaluation.sweep_scores import PointInputs, PointScorer
from batteryscope.samples.choose import samples_in


def score_number_points(inputs: PointInputs) -> pd.DataFrame:
    """Score the points at every level; see :class:`PointScorer`."""
    images = [
        gather_images(predictions.assign(arm=name), inputs.manifest)
        for name, predictions in inputs.read_predictions()
    ]
    splits = read_splits(inputs.splits)
    scores = compare_numbers(
        pd.concat(images, ignore_index=True),
        inputs.backbones,
        straddling=find_straddling_arms(splits, inputs.manifest),
        quantities=inputs.quantities,
        sample=samples_in(inputs.manifest.columns).noun,
    )
    ratios = {arm: find_left_out_ratio(split) for arm, split in splits.items()}
    return scores.assign(**{LEFT_OUT: scores["arm"].map(ratios)})


SCORER = PointScorer(score_number_points, flatten_points)
