"""What the benchmarks work on: generated frames, and textures in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.seeds import derive_rng

WIDTH_PX, HEIGHT_PX = 1280, 960
DEMO_SIZE_PX = (512, 384)  # of the frames of params.yaml's demos
MAX_PIXELS = 200_000_000
LABEL_PATTERN = "ncm(?P<composition>[0-9]{3})_(?P<state>pristine|formation|[0-9]+cycles)"
LABEL_COLUMNS = ["composition", "state"]


def generate_frames(out_dir: Path, size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> Path:
    """Generate six frames (JPEG, width × height, with sidecars) and return their folder.

    Frames that are there already are kept. Benchmarks that need more repeat them: what is
    measured does not depend on what the frames show.
    """
    from batteryscope.config.picture_generators import SemTopViewGenerator
    from batteryscope.demo.write_dataset import generate_dataset

    if not out_dir.exists():
        settings = SemTopViewGenerator(
            images_per_class=1,
            width_px=size_px[0],
            height_px=size_px[1],
            compositions=["333", "811"],
        )
        generate_dataset(settings, out_dir)
    return out_dir


def list_frames(folder: Path) -> list[Path]:
    """Return the generated frames in a fixed order."""
    return sorted(folder.rglob("*.jpg"))


def write_deep_copies(frames: list[Path], out_dir: Path) -> list[Path]:
    """Write the frames as uncompressed 16-bit TIFF with noise in the lower 8 bits."""
    import tifffile
    from PIL import Image

    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, frame in enumerate(frames):
        pixels = np.asarray(Image.open(frame)).astype(np.uint16) << 8
        rng = derive_rng("benchmark", "lower bits", number)
        pixels += rng.integers(0, 256, pixels.shape, dtype=np.uint16)
        path = out_dir / f"{number}.tif"
        tifffile.imwrite(path, pixels)
        paths.append(path)
    return paths


def ingest_frames(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return manifest and measurements (``frames.parquet``) of the frames, one class each."""
    from batteryscope.config.dataset import DatasetSettings, LabelSettings
    from batteryscope.manifest.build import build_manifest
    from batteryscope.readers.scan import scan_images

    labels = LabelSettings(pattern=LABEL_PATTERN, columns=LABEL_COLUMNS)
    settings = DatasetSettings(name="benchmark", path=str(folder), labels=labels)
    manifest, _, measured = build_manifest(scan_images(folder), settings, folder)
    return manifest, measured


def repeat_samples(manifest: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return a table of ``count`` samples that share the files of a smaller one."""
    table = manifest.iloc[np.arange(count) % len(manifest)].reset_index(drop=True)
    return table.assign(sample_id=[f"{i:016x}" for i in range(count)])


def draw_tiles(count: int, edge_px: int) -> NDArray[np.uint8]:
    """Return (count, edge_px, edge_px) random textures."""
    rng = derive_rng("benchmark", "tiles", count, edge_px)
    return rng.integers(0, 256, (count, edge_px, edge_px), dtype=np.uint8)
