"""The learning curve: which arms it adds, and what its figure shows."""

from pathlib import Path

import pandas as pd
import pytest

from batteryscope.config.project import load_project
from batteryscope.plan import plan_study
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.headline import find_headline
from batteryscope.report.learning_curve import (
    draw_learning_curve,
    show_learning_curve,
    tabulate_points,
)

PARAMS = Path(__file__).parents[1] / "params.yaml"
SIZES = [2, 5, 10, 20]


@pytest.fixture(scope="module")
def transfer():
    curve = {"learning_curve": {"arms": ["pre_ft_os", "ft_os"], "images_per_class": SIZES}}
    overlay = {"studies": {"additive_transfer": {"demo": {"evaluate": curve}}}, "scale": "demo"}
    return plan_study(
        "additive_transfer", load_project(PARAMS, overlay).studies["additive_transfer"]
    )


def test_points_limit_the_last_stage_only_and_share_the_first(transfer):
    for base in ("pre_ft_os", "ft_os"):
        full = transfer.every_arm[base]
        for size in SIZES:
            point = transfer.every_arm[f"{base}_n{size}"]
            assert point.chains[:-1] == full.chains[:-1]  # learning from the source is done once
            assert point.split == full.split
            mine = transfer.stages[point.chains[-1]].settings
            whole = transfer.stages[full.chains[-1]].settings
            assert mine.balance.images_per_class == size
            assert whole.balance.images_per_class is None
            unlimited = mine.balance.model_copy(update={"images_per_class": None})
            assert mine.model_copy(update={"balance": unlimited}) == whole


def test_points_are_no_strategies_of_their_own(transfer):
    assert set(transfer.settings.curve_arms) == {
        f"{base}_n{size}" for base in ("pre_ft_os", "ft_os") for size in SIZES
    }
    assert not set(transfer.settings.curve_arms) & set(transfer.settings.arms)


def make_evidence(transfer, n_train: int) -> StudyEvidence:
    """Nine classes with so many training images of the target each, and a score per arm."""
    scores = {"pre_ft_os": 0.95, "ft_os": 0.8, "pre_only": 0.5}
    scores |= {f"pre_ft_os_n{n}": 0.9 for n in SIZES} | {f"ft_os_n{n}": 0.4 for n in SIZES}
    comparison = pd.DataFrame(
        [
            {"arm": arm, "backbone": "x", "target": "", "domain": "", "level": "image",
             "metric": metric, "mean": mean, "sd": 0.02, "n": 36, "paper": float("nan")}
            for arm, mean in scores.items()
            for metric in ("accuracy", "pooled_accuracy")
        ]
    )  # fmt: skip
    rows = [
        {"sample_id": f"{domain}{k}_{i}", "class": f"class{k}", "domain": domain}
        for domain, n in (("plain", 30), ("additive", n_train))
        for k in range(9)
        for i in range(n)
    ]
    manifest = pd.DataFrame(rows)
    split = manifest[["sample_id"]].assign(
        group_id=manifest["sample_id"], repeat=0, fold=0, role="train"
    )
    return StudyEvidence(
        study="additive_transfer", settings=transfer.settings, generated=True,
        comparison=comparison, arms={}, stages={}, manifest=manifest, split=split,
    )  # fmt: skip


def test_the_last_point_is_the_whole_training_part(transfer):
    evidence = make_evidence(transfer, n_train=12)
    picture = show_learning_curve(evidence, find_headline(evidence))
    assert picture is not None
    assert "The last point (12 images per class on average)" in picture.caption  # not 42
    points = tabulate_points(evidence, "image", 12).sort_values("images_per_class")
    mine = points[points["label"] == evidence.label_of("pre_ft_os")]
    assert mine["images_per_class"].tolist() == [2, 5, 10, 12]  # there are no 20
    assert mine["mean"].tolist() == [0.9, 0.9, 0.9, 0.95]
    assert len(points) == 8


def test_figure_holds_every_point_with_its_spread():
    points = pd.DataFrame(
        {
            "label": ["with", "with", "without", "without"],
            "images_per_class": [12, 2, 2, 12],
            "mean": [0.9, 0.7, 0.3, 0.8],
            "sd": [0.01, 0.05, float("nan"), 0.02],
        }
    )
    (axes,) = draw_learning_curve(points, 1 / 9, "test images put into the right class").axes
    drawn = {bars.get_label(): bars for bars in axes.containers}
    line, _, (whiskers,) = drawn["with"].lines
    assert line.get_xydata().tolist() == [[2, 0.7], [12, 0.9]]
    ends = [segment[:, 1].tolist() for segment in whiskers.get_segments()]
    assert ends == [pytest.approx([0.65, 0.75]), pytest.approx([0.89, 0.91])]
    assert drawn["without"].lines[0].get_ydata().tolist() == [0.3, 0.8]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "12"]
