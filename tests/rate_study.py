"""A small study of capacities of drawn bands."""

from batteryscope.config.study import StudySettings

CROP = {
    "method": "coating_crop", "crop_height_px": 64, "crop_width_px": 256, "mosaic_width_px": 400,
    "shrink": 4,
}  # fmt: skip
TARGETS = ["capacity_1c_ah_kg", "capacity_5c_ah_kg"]


def make_study() -> StudySettings:
    return StudySettings.model_validate(
        {
            "title": "Drawn bands",
            "dataset": {
                "name": "bands",
                "path": "images",
                "labels": {"columns": ["porosity"], "pattern": "(?P<porosity>x)"},
                "targets": {"c_rates": [1, 5], "units": ["Ah/kg"]},
            },
            "preprocess": CROP,
            "split": {"scheme": "kfold", "folds": 2, "group": "image"},
            "augment": {"flips": False, "quarter_turns": False},
            "model": {
                "backbone": "rate_cnn", "weights": "random", "outputs": "Ah/kg",
                "backbone_options": {"width": 0.1}, "dropout": 0.0,
            },
            "train": {"epochs": 2, "batch_size": 4, "loss": "mape", "monitor": "val_loss",
                      "penalty": "l2"},
            "arms": {"mass": {}},
            "evaluate": {"shortcut_audit": False},
            "explain": {"integration_steps": 2},
        }
    )  # fmt: skip
