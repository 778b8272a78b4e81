"""From the predictions of all points of all sweeps to one table and its numbers by name."""

import json
from pathlib import Path

import pandas as pd

from batteryscope.evaluation.sweep_points import (
    COLUMNS,
    count_fits,
    summarise_epochs,
    tabulate_points,
)
from batteryscope.evaluation.sweep_scores import PointInputs, find_scorer
from batteryscope.planning.layout import PictureLayout, RowLayout


def compare_study(layout: PictureLayout | RowLayout, out: Path) -> None:
    """Score the points of all sweeps; write ``sweeps.csv`` and ``metrics.json``.

    Raises
    ------
    InputError
        If predictions of a point cannot be read.
    """
    plan, measured = layout.plan, layout.describe_points()
    arms = {arm: layout.arm(arm).predictions for arm in sorted({p.arm for p in plan.points})}
    inputs = PointInputs(
        arms,
        pd.read_parquet(layout.data.manifest),
        measured.label_columns,
        measured.backbones,
        layout.list_point_splits(),
        measured.quantities,
        {point.arm: point.base for point in plan.points},
    )
    histories = {
        arm: [pd.read_csv(p) for part in parts for p in sorted(part.glob("r*_f*/history.csv"))]
        for arm, parts in layout.list_point_fits().items()
    }
    scorer = find_scorer(layout.modules.score_points)
    costs = summarise_epochs(histories) if histories else count_fits(arms)
    paper = [value for sweep in plan.settings.sweeps.values() for value in sweep.paper]
    points = tabulate_points([vars(p) for p in plan.points], scorer.score(inputs), costs, paper)
    out.mkdir(parents=True, exist_ok=True)
    points[COLUMNS].round(6).to_csv(out / "sweeps.csv", index=False)
    metrics = json.dumps(scorer.flatten(points), indent=1) + "\n"
    (out / "metrics.json").write_text(metrics, encoding="utf-8")
