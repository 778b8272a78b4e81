"""Baselines have one name each for figures, sentences and model cards."""

from typing import get_args

from batteryscope.core.baseline_catalogue import (
    OF_CLASSES,
    OF_QUANTITIES,
    OF_ROWS,
    PictureBaseline,
    RowBaseline,
    find_words,
)
from batteryscope.evaluation.sample_features import FEATURES, PROXIES


def test_every_baseline_that_can_be_asked_for_has_words() -> None:
    asked = (*get_args(PictureBaseline), "covariates")  # the last one without being asked for
    assert OF_CLASSES.keys() == set(asked)
    always = {"mean", *PROXIES, "texture_forest", "covariates"}
    assert OF_QUANTITIES.keys() == always | set(asked) - {"majority"}
    assert {name for name, own in OF_QUANTITIES.items() if not own.is_asked_for} == always
    assert OF_ROWS.keys() == set(get_args(RowBaseline))
    assert all(words.sees for words in OF_CLASSES.values())


def test_what_looks_at_something_has_features() -> None:
    blind = {"majority", "mean"}
    assert FEATURES.keys() == (OF_CLASSES | OF_QUANTITIES).keys() - blind


def test_words_of_an_arm() -> None:
    words = find_words("baseline_grey_levels", OF_CLASSES)
    assert words.label == "grey levels only"
    assert words.in_sentence == "grey levels without shapes"
    assert words.with_method == "grey levels only (random forest)"
    assert find_words("baseline_ridge", OF_ROWS).in_sentence == "ridge regression"
    assert find_words("baseline_of_mine", OF_ROWS).label == "of mine"
