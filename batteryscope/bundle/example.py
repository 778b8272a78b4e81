"""The example of a bundle: a picture that tests, and what the models say about it."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from batteryscope.bundle.covariates import write_example_covariates
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.record import EXAMPLE_INPUT_FILE, EXAMPLE_OUTPUT_FILE, write_json
from batteryscope.errors import InputError
from batteryscope.manifest.grey_scale import RANGE_COLUMNS, read_bit_depth
from batteryscope.manifest.volumes import SEPARATOR, digest_slice
from batteryscope.provenance import digest_file
from batteryscope.readers.registry import read_picture
from batteryscope.readers.volume import find_grey_range, show_with_8_bits
from batteryscope.readers.volumes import open_volume

MOST_EXAMPLES_TRIED = 20


def write_example(
    out_dir: Path,
    bundle: PictureBundle[Any],
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    dataset_dir: Path,
) -> None:
    """Keep the first test image that gets an answer, and what the bundle says about it.

    Only if all that are tried are unlike the training images is one answered anyway.

    Raises
    ------
    InputError
        If no image tests, or the file is not the one that was ingested.
    """
    # By role as well: images that test and validate (split.validate_on_test) count as tested.
    first = split.sort_values(["repeat", "fold", "role"]).drop_duplicates("sample_id")
    candidates = sorted(first.loc[first["role"] == "test", "sample_id"])[:MOST_EXAMPLES_TRIED]
    if not candidates:
        raise InputError("The split has no test image that could serve as the bundle's example.")
    files = manifest.set_index("sample_id")
    for anyway, sample_id in product((False, True), candidates):
        path = dataset_dir / str(files.loc[sample_id, "path"])
        colours = bundle.record.preprocess.keeps_colours
        pixels, digest = _read_sample(path, bundle.record.max_pixels, files.loc[sample_id], colours)
        if digest != files.loc[sample_id, "sha256"]:
            raise InputError(
                f"{path}: the file has changed since the data set was ingested; "
                "run the workflow again."
            )
        Image.fromarray(pixels).save(out_dir / EXAMPLE_INPUT_FILE)
        if needed := bundle.record.covariates:
            bundle.given = write_example_covariates(out_dir, files.loc[sample_id], needed)
        bundle.answer_anyway = anyway
        row = next(bundle.predict_files([EXAMPLE_INPUT_FILE], out_dir))
        if row["status"] == "ok":
            break
    write_json(out_dir / EXAMPLE_OUTPUT_FILE, row)


def _read_sample(
    path: Path, max_pixels: int, sample: pd.Series, colours: bool
) -> tuple[NDArray[np.uint8], str]:
    """Read a picture, or a slice of a scan by its name, with 8 bits, and its content hash."""
    volume_path, mark, number = path.as_posix().rpartition(SEPARATOR)
    if mark and not path.exists():
        volume = open_volume(Path(volume_path))
        pixels = volume.read_slice(int(number))
        known = (float(sample[c]) for c in RANGE_COLUMNS) if RANGE_COLUMNS[0] in sample else ()
        low, high = tuple(known) or find_grey_range(volume)
        return show_with_8_bits(pixels, (low, high)), digest_slice(pixels)
    depth = read_bit_depth(sample)
    picture = read_picture(path, max_pixels=max_pixels, bit_depth=depth, keep_colours=colours)
    return picture.show(colours), digest_file(path)
