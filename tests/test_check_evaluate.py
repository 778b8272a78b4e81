"""Settings of evaluate that cannot have an effect are refused where the user wrote them."""

from typing import Any

import pytest

from batteryscope.config.project import load_project
from batteryscope.core.baseline_catalogue import OF_CLASSES, OF_QUANTITIES, OF_ROWS
from batteryscope.errors import ConfigError
from batteryscope.plan import plan_study
from batteryscope.planning.check_evaluate import NEEDS, check_evaluate
from batteryscope.provenance import PROJECT_ROOT

PARAMS = PROJECT_ROOT / "params.yaml"


def check(study: str, evaluate: dict[str, Any]) -> None:
    project = load_project(PARAMS, {"studies": {study: {"evaluate": evaluate}}})
    settings = project.studies[study]
    plan = plan_study(study, settings)
    check_evaluate(settings, plan.main.recipe.preprocess, f"studies.{study}.evaluate")


@pytest.mark.parametrize(
    "study", ["cathode_state", "additive_transfer", "cell_health", "rate_capability"]
)
def test_what_the_project_asks_for_has_an_effect(study):
    check(study, {})


@pytest.mark.parametrize(
    ("study", "evaluate", "said"),
    [
        ("rate_capability", {"baselines": ["winding"]}, "'winding' has no effect here, where mean, "
         "porosity, thickness, texture_forest are always compared; leave baselines out"),
        ("rate_capability", {"baselines": ["majority"]}, "'majority' has no effect here"),
        ("rate_capability", {"survey": "experts.csv"}, "evaluate.survey: it has no effect"),
        ("cathode_state", {"baselines": ["winding"]}, "'winding' needs scans of cells"),
        ("cathode_state", {"paper_accuracy": "recall", "paper_classes": []},
         "the table paper_classes, which is not"),
    ],
)  # fmt: skip
def test_what_cannot_have_an_effect_is_refused(study, evaluate, said):
    with pytest.raises(ConfigError, match=said):
        check(study, evaluate)


def test_every_need_has_words_and_every_baseline_states_one():
    every = [b for known in (OF_CLASSES, OF_QUANTITIES, OF_ROWS) for b in known.values()]
    assert all(baseline.needs for baseline in every)
    assert {need for baseline in every for need in baseline.needs} == NEEDS.keys()
