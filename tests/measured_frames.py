"""The table of frames of pictures on disk, measured as the ingestion does."""

from pathlib import Path

import pandas as pd

from batteryscope.manifest.inspect import ImageRecord, inspect_images, tabulate_frames


def measure_dataset(root: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    answers = inspect_images(root, manifest["path"].tolist(), max_pixels=10**6)
    return tabulate_frames([a for a in answers if isinstance(a, ImageRecord)], manifest)
