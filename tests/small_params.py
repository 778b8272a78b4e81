"""The smallest configuration that still is the real thing."""

import copy

STUDY = {
    "title": "check set",
    "dataset": {
        "name": "check",
        "path": None,
        "generator": {"kind": "trivial", "classes": 3, "images_per_class": 10},
        "labels": {"source": "folders"},
    },
    "preprocess": {
        "method": "sem_tiles",
        "crop_px": 64,
        "input_px": 48,
        "tiles_per_image": 12,
        "grid_tiles": 4,
        "block_px": 16,
        "min_local_sd": 2.0,
    },
    "split": {"scheme": "holdout", "test_fraction": 0.3, "validation_fraction": 0.3},
    "model": {"backbone": "test_resnet", "weights": "random", "grey_levels": "per_image"},
    "train": {
        "epochs": 12,
        "batch_size": 16,
        "optimiser": "adamw",
        "learning_rate": 5.0e-3,
        "schedule": "one_cycle",
    },
    "arms": {"per_image": {}},
    "explain": {"tiles_per_class": 1, "misclassified_tiles": 2},
}


def small_study(**changes) -> dict:
    """Return the study with some sections changed key by key."""
    study = copy.deepcopy(STUDY)
    for section, values in changes.items():
        if isinstance(values, dict) and isinstance(study.get(section), dict) and section != "arms":
            study[section].update(values)
        else:
            study[section] = values
    if "scheme" in changes.get("split", {}) and study["split"]["scheme"] == "kfold":
        study["split"].pop("test_fraction", None)
    if "targets" in study["dataset"]:  # which tiles are classified wrongly is a question of classes
        study["explain"].pop("misclassified_tiles", None)
    return study


def small_params(**studies) -> dict:
    """Return a whole params.yaml with the given studies."""
    return {"scale": "demo", "studies": studies}
