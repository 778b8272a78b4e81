"""Choices of training that contradict each other are refused before any work."""

import pytest

from batteryscope.config.base import validate_settings
from batteryscope.errors import ConfigError
from batteryscope.plan import StageSettings

FROZEN = {"freeze": "backbone"}
SOLVED = FROZEN | {"pooling": "stage_statistics"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"unfreeze_every_epochs": 5, "epochs": 5}}, "not shorter than epochs 5"),
        ({"train": {"unfreeze_every_epochs": 1, "devices": 2}}, "one device, found devices 2"),
        ({"train": {"loss": "focal", "label_smoothing": 0.1}}, "label_smoothing 0.1 does not go"),
        ({"train": {"layer_decay": 0.0}}, r"train\.layer_decay: found 0"),
        ({"train": {"layer_decay": 1.5}}, r"train\.layer_decay: found 1.5"),
        ({"train": {"focal_gamma": -1}}, r"train\.focal_gamma: found -1"),
        ({"train": {"unfreeze_every_epochs": 2}, "model": FROZEN}, "2 has no effect with model"),
        ({"train": {"layer_decay": 0.5}, "model": FROZEN}, "layer_decay 0.5 has no effect"),
        (
            {"train": {"unfreeze_every_epochs": 2, "method": "discriminant"}, "model": SOLVED},
            "unfreeze_every_epochs 2 does not go with train.method 'discriminant'",
        ),
        (
            {"train": {"loss": "focal", "method": "discriminant"}, "model": SOLVED},
            "loss 'focal' does not go with",
        ),
        (
            {
                "balance": {"method": "class_balanced"},
                "train": {"method": "discriminant"},
                "model": SOLVED,
            },
            "'class_balanced' does not go with",
        ),
        ({"balance": {"images_per_class": 0}}, r"balance\.images_per_class: found 0"),
    ],
)
def test_impossible_choices_are_one_sentence(change, words):
    values = {
        "study": "s", "stage": "fit", "where": {}, "label_columns": ["class"],
        "balance": {}, "augment": {}, "model": {}, "train": {},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=words) as error:
        validate_settings(StageSettings, values | change, "here")
    assert str(error.value).count("\n") == 0
