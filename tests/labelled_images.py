"""Labelled pictures of noise, and their sample table."""

from pathlib import Path

import numpy as np
from PIL import Image

from batteryscope.config.dataset import DatasetSettings
from batteryscope.manifest.build import build_manifest
from batteryscope.readers.scan import scan_images

NCM = {
    "pattern": r"ncm(?P<composition>\d{3})_(?P<state>\w+)",
    "columns": ["composition", "state"],
}


def settings_of(labels: dict | None = None, **more) -> DatasetSettings:
    return DatasetSettings.model_validate(
        {"name": "test", "path": "somewhere", "labels": labels or {}, **more}
    )


def write_image(path: Path, seed: int, size=(32, 24)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def build(root: Path, labels: dict | None = None, **more):
    return build_manifest(scan_images(root), settings_of(labels, **more), root)[:2]


def make_dataset(root: Path) -> Path:
    for i, folder in enumerate(["ncm333_pristine", "NCM333_formation", "ncm811_pristine"]):
        for k in range(2):
            write_image(root / folder / f"frame  {k}, a.png", seed=10 * i + k)
    return root


def write_table(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> dict:
    (root / name).write_bytes(text.encode(encoding))
    return {"source": "table", "table": name, "columns": ["state"]}
