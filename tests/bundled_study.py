"""A small trained study on disk: pictures, tables, two fits with random weights."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.torch import save_file

from batteryscope.bundle.record import BundleSettings, PublishedSets
from batteryscope.bundle.write import write_bundle
from batteryscope.config.learning import ModelSettings
from batteryscope.models.classifier import build_classifier
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.provenance import digest_file
from batteryscope.seeds import derive_rng
from tests.measured_frames import measure_dataset

COMPOSITIONS, STATES = ("333", "811"), ("pristine", "100cycles")
CLASSES = sorted(f"{c}_{s}" for c in COMPOSITIONS for s in STATES)
LABELS = ["composition", "state"]
IMAGES_PER_CLASS = 4
EDGE = 32
METRICS = {
    "main.image.pooled_accuracy": 0.875,
    "main.image.pooled_accuracy_low": 0.5,
    "main.image.pooled_accuracy_high": 0.98,
    "main.image.n": 16,
    "main.image.composition.pooled_accuracy": 1.0,
    "main.image.composition.n": 16,
    "other.image.pooled_accuracy": 0.1,
    "baseline_majority.image.pooled_accuracy": 0.25,
}
SET_NUMBERS = {
    "threshold": 0.3, "coverage_measured": 0.9375, "mean_size": 1.5,
}  # fmt: skip
SETS = PublishedSets.model_validate(
    {
        "coverage": 0.9,
        "levels": {
            "image": SET_NUMBERS
            | {"n_groups": 16, "calibrated_on": "test", "n_measured": 16}
            | {"coverage_low": 0.7, "coverage_high": 0.99}
        },
    }
)


@dataclass
class Study:
    """Where things lie, and the tables."""

    root: Path
    manifest: pd.DataFrame
    frames: pd.DataFrame
    split: pd.DataFrame

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def fits(self) -> list[Path]:
        return sorted((self.root / "part0").glob("r*_f*"))

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"


def draw_picture(*name: object, height: int = 96, width: int = 128) -> np.ndarray:
    """Textured grey levels, uint8, that depend on the name alone."""
    rng = derive_rng(*name)
    coarse = rng.integers(0, 200, (height // 4, width // 4)).repeat(4, 0).repeat(4, 1)
    return (coarse + rng.integers(0, 55, (height, width))).astype(np.uint8)


def save_picture(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def make_settings(**changes: object) -> BundleSettings:
    values = {
        "study": "small",
        "arm": "main",
        "title": "Small study",
        "data_name": "noise",
        "label_columns": LABELS,
        "preprocess": {
            "method": "sem_tiles",
            "crop_px": 48,
            "input_px": EDGE,
            "grid_tiles": 4,
            "block_px": 8,
            "min_local_sd": 5.0,
        },
        "max_pixels": 1_000_000,
        "generated": True,
    }
    return BundleSettings.model_validate(values | changes)


def make_study(root: Path, backbone: str = "test_resnet") -> Study:
    """Write pictures and two fits, as two folds of a cross-validation with an unused test part."""
    rows = []
    for composition in COMPOSITIONS:
        for state in STATES:
            for i in range(IMAGES_PER_CLASS):
                path = f"{composition}/{state}/frame {i}.png"
                pixels = draw_picture(composition, state, i)
                file = save_picture(pixels, root / "images" / path)
                rows.append(
                    {
                        "sha256": digest_file(file),
                        "path": path,
                        "composition": composition,
                        "state": state,
                        "class": f"{composition}_{state}",
                        "number": i,
                    }
                )
    manifest = pd.DataFrame(rows)
    manifest.insert(0, "sample_id", manifest["sha256"].str[:16])
    manifest = manifest.assign(
        width_px=128,
        height_px=96,
        magnification=500.0,
        pixel_size_um=np.nan,
        instrument="SEM-1",
        session_id=None,
        specimen_id=None,
        domain="",
    )
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    tables = []
    for fold in (0, 1):
        # Frame 3 tests in both folds; frames 0 and 1 swap training and validation.
        roles = {0: ["train", "validation"][fold], 1: ["validation", "train"][fold], 2: "train"}
        role = manifest["number"].map(roles).fillna("test")
        part = manifest[["sample_id"]].assign(repeat=0, fold=fold, role=role)
        tables.append(part.assign(group_id=part["sample_id"]))
    split = pd.concat(tables, ignore_index=True)
    for fold in (0, 1):
        folder = root / "part0" / f"r0_f{fold}"
        folder.mkdir(parents=True)
        model_settings = ModelSettings(backbone=backbone, weights="random", grey_levels="per_image")
        model = build_classifier(model_settings, CLASSES, EDGE, seed=fold)
        save_file(
            {k: v.contiguous() for k, v in model.state_dict().items()},
            folder / "weights.safetensors",
        )
        (folder / "model.json").write_text(json.dumps(model.description.as_dict()))
        own = split[(split["fold"] == fold) & (split["role"] == "train")]
        fit = {"repeat": 0, "fold": fold, "best_epoch": 2}
        (folder / "fit.json").write_text(
            json.dumps(fit | {"train_samples": sorted(own["sample_id"])})
        )
    frames = measure_dataset(root / "images", manifest)
    return Study(root, manifest.drop(columns="number"), frames, split)


def write_tiles(study: Study) -> Path:
    """Cut the pictures of a study, as preprocessing does."""
    settings = make_settings()
    folder = study.root / "tiles"
    cut_dataset(study.manifest, study.images, settings.preprocess, folder, settings.max_pixels)
    return folder


def bundle_study(
    study: Study, out_dir: Path | None = None, tiles: Path | None = None, **changes: object
) -> Path:
    out_dir = out_dir or study.bundle
    write_bundle(
        out_dir,
        make_settings(**changes),
        study.fits,
        study.manifest,
        study.frames,
        study.split,
        study.images,
        1.3,
        METRICS,
        [{"kind": "shortcut", "text": "Class and acquisition session are confounded."}],
        SETS,
        tiles,
    )
    return out_dir
