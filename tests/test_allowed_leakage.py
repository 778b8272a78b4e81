"""Whoever lets training and test share something reads the reason wherever the results are."""

import pytest

from batteryscope.bundle.card import render_card
from batteryscope.bundle.number_record import NumberRecord
from batteryscope.bundle.number_write import render_number_card
from batteryscope.bundle.record import read_record
from batteryscope.config.base import validate_settings
from batteryscope.config.split import SplitSettings
from batteryscope.config.study import StudySettings
from batteryscope.core.finding import Finding
from batteryscope.errors import ConfigError
from batteryscope.evaluation.sentences import classes, numbers
from batteryscope.evaluation.straddling import (
    list_allowed_findings,
    list_allowed_leakage,
    list_test_validation,
)
from batteryscope.plan import plan_study
from batteryscope.search.plan_search import plan_search
from batteryscope.splits.kept_together import describe_allowed, describe_validation
from tests.small_params import small_study
from tests.test_bundle_integrity import BUNDLES
from tests.test_rate_bundle_record import make_values

REASON = "one electrode is all we have"


def test_every_arm_whose_division_may_leak_is_found_and_told() -> None:
    by_image = {"label": "by image", "change": {"split.allow_leakage": REASON}}
    study = StudySettings.model_validate(small_study(arms={"main": {}, "by_image": by_image}))
    allowed = list_allowed_leakage(plan_study("check", study))
    assert allowed == {"by_image": REASON}
    findings = list_allowed_findings(allowed, {"by_image": "by image"})
    (told,) = classes.SENTENCES.record(findings)
    assert told["text"] == f"Strategy “by image”: {describe_allowed(REASON)}"
    assert told["arm"] == "by_image"


def test_an_arm_that_validates_on_its_test_part_is_told_and_never_searched() -> None:
    flawed = {"label": "as in the paper", "change": {"split.validate_on_test": REASON}}
    values = small_study(arms={"main": {}, "flawed": flawed})
    study = StudySettings.model_validate(values)
    validated = list_test_validation(plan_study("check", study))
    assert validated == {"flawed": REASON}
    (found,) = list_allowed_findings({}, {}, validated)
    assert describe_validation(REASON) in classes.SENTENCES.tell(found)
    assert "chose the epoch" in describe_validation(REASON)
    searched = {"arm": "flawed", "space": {"train.batch_size": [8, 16]}}
    study = StudySettings.model_validate(values | {"search": searched})
    with pytest.raises(ConfigError, match="validates on its test part"):
        plan_search(plan_study("check", study))


@pytest.mark.parametrize("room", [numbers])
def test_validation_on_the_test_part_is_told_of_numbers(room) -> None:
    facts = {"warning": describe_validation(REASON), "strategy": "as in the paper"}
    text = room.SENTENCES.tell(Finding("test_validation", "warning", facts))
    assert text == f"Strategy “as in the paper”: {describe_validation(REASON)}"


@pytest.mark.parametrize("room", [numbers])
@pytest.mark.parametrize("strategy", [{}, {"strategy": "by image"}])
def test_the_reason_is_told_of_numbers(room, strategy: dict) -> None:
    found = Finding("allowed_leakage", "warning", {"reason": REASON} | strategy)
    text = room.SENTENCES.tell(found)
    assert text.endswith(f"(split.allow_leakage): {REASON}")
    assert ("“by image”" in text) == bool(strategy)


def test_model_cards_repeat_the_reason() -> None:
    found = {"kind": "leakage", "text": describe_allowed(REASON)}
    record = read_record(BUNDLES / "classes_of_images" / "bundle")
    card = render_card(record.model_copy(update={"findings": [found]}), "x")
    assert describe_allowed(REASON) in card
    values = make_values() | {"findings": [found | {"kind": "allowed_leakage"}]}
    assert describe_allowed(REASON) in render_number_card(NumberRecord.model_validate(values))


@pytest.mark.parametrize("key", ["allow_leakage", "validate_on_test"])
def test_a_switch_instead_of_a_reason_is_explained(key: str) -> None:
    with pytest.raises(ConfigError, match=f"x: {key}: found true; this key is no switch: say in"):
        validate_settings(SplitSettings, {key: True}, "x")
