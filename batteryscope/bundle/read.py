"""Opens bundles of pictures without running any code from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from batteryscope.bundle.covariates import check_covariates, read_example_covariates
from batteryscope.bundle.familiarity import read_familiarity
from batteryscope.bundle.integrity import (
    check_example,
    check_record,
    check_seal,
    check_sizes,
    list_not_finite,
)
from batteryscope.bundle.number_bundle import NumberBundle
from batteryscope.bundle.number_record import read_record as read_number_record
from batteryscope.bundle.picture_bundle import PictureBundle
from batteryscope.bundle.predict import Bundle
from batteryscope.bundle.prediction_set import check_sets
from batteryscope.bundle.record import (
    EXAMPLE_INPUT_FILE,
    EXAMPLE_OUTPUT_FILE,
    TRAINING_IMAGES_FILE,
    Member,
    read_json,
    read_record,
)
from batteryscope.config.preprocess import PreprocessSettings, find_tile_shape
from batteryscope.core.safe_text import first_line
from batteryscope.errors import ConfigError, InputError
from batteryscope.models.classifier import (
    ModelDescription,
    TileClassifier,
    TileRegressor,
    check_backbone_name,
    rebuild_classifier,
)
from batteryscope.models.flips import FLIPS_AT_TEST
from batteryscope.models.fold_batch_norm import fold_batch_norm
from batteryscope.provenance import digest_file
from batteryscope.seeds import derive_rng

# Options that would make timm read other files or the network.
_FORBIDDEN_OPTIONS = ("pretrained", "checkpoint_path", "cache_dir")


def load_bundle(
    folder: Path,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    *,
    checked: bool = True,
) -> Bundle:
    """Load published classifiers.

    Parameters
    ----------
    folder
        The bundle, for example ``models/cathode_state``.
    device
        Where the models run.
    batch_size
        Tiles at a time.
    checked
        Compare all files with their digests, and the answer to the example with the stored one;
        False while a bundle is being written.

    Raises
    ------
    InputError
        If a file is missing, damaged or changed, of another format version, if weights do not
        fit their description, or if the example is not answered as it was.
    """
    record = read_record(folder)
    images = _read_training_images(folder, record.members)
    check_record(folder, record, images)
    check_sets(folder, record)
    tiles = _draw_tiles(record.preprocess)
    models = [
        fold_batch_norm(
            _load_member(folder, member, TileClassifier, record.classes, record.input_px), tiles
        ).to(device)
        for member in record.members
    ]
    check_covariates(folder, record, models)
    bundle = Bundle(record, models, images, batch_size)
    bundle.familiarity = read_familiarity(folder, record.familiarity, images, models[0], tiles)
    if checked:
        _check_answers(folder, bundle)
    return bundle


def load_number_bundle(
    folder: Path,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    collector: str | None = None,
    *,
    checked: bool = True,
) -> NumberBundle:
    """Load published models of capacities; parameters and errors as :func:`load_bundle`.

    ``collector`` as of :class:`NumberBundle`.
    """
    record = read_number_record(folder)
    images = _read_training_images(folder, record.members)
    check_record(folder, record, images)
    tiles = _draw_tiles(record.preprocess)
    models = [
        fold_batch_norm(_load_member(folder, member, TileRegressor), tiles).to(device)
        for member in record.members
    ]
    for target in record.targets:
        for member, model in zip(record.members, models, strict=True):
            if member.arm == target.arm and target.name not in model.description.classes:
                raise InputError(
                    f"{folder / member.name}.json: this network does not predict {target.name}, "
                    "as bundle.json says; publish or fetch the bundle again."
                )
    check_covariates(folder, record, models)
    known = read_familiarity(folder, record.familiarity, images, models[0], tiles)
    bundle = NumberBundle(record, models, images, batch_size, collector)
    bundle.familiarity = known
    if checked:  # as it was written: the collector where it was in training
        example = NumberBundle(record, models, images, batch_size)
        example.familiarity = known
        _check_answers(folder, example)
    return bundle


def _check_answers(folder: Path, bundle: PictureBundle[Any]) -> None:
    """Refuse a bundle whose files were changed, or that no longer answers as it did."""
    check_seal(folder)
    stored = read_json(folder / EXAMPLE_OUTPUT_FILE)
    if not (folder / EXAMPLE_INPUT_FILE).is_file():
        raise InputError(
            f"{folder / EXAMPLE_INPUT_FILE}: this file of the bundle is missing; publish or fetch "
            "the bundle again."
        )
    if needed := bundle.record.covariates:
        bundle.given = read_example_covariates(folder, needed)
    bundle.answer_anyway = True
    found = next(bundle.predict_files([EXAMPLE_INPUT_FILE], folder))
    bundle.given, bundle.answer_anyway = None, False
    check_example(stored, found, folder / EXAMPLE_OUTPUT_FILE, bundle.device.type)


def _draw_tiles(settings: PreprocessSettings) -> torch.Tensor:
    """Return a tile of noise, of the shape that the models judge."""
    shape = (1, settings.channels, *find_tile_shape(settings))
    noise = derive_rng("noise that looks for batch normalisation").integers(0, 256, shape)
    return torch.from_numpy(noise.astype(np.uint8))


def _read_training_images(folder: Path, members: Sequence[Member]) -> pd.DataFrame:
    path = folder / TRAINING_IMAGES_FILE
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        what = "is missing" if not path.is_file() else f"is not readable ({first_line(error)})"
        raise InputError(
            f"{path}: this file of the bundle {what}; publish or fetch the bundle again."
        ) from None
    needed = ["sample_id", "sha256", "pixel_digest", "path", *[m.column for m in members]]
    if missing := [c for c in needed if c not in table.columns]:
        raise InputError(
            f"{path}: the column '{missing[0]}' is missing; publish or fetch the bundle again."
        )
    return table


def _load_member(
    folder: Path,
    member: Member,
    kind: type[TileClassifier],
    classes: list[str] | None = None,
    input_px: int | None = None,
) -> TileClassifier:
    weights = folder / f"{member.name}.safetensors"
    description_file = folder / f"{member.name}.json"
    description = read_json(description_file)
    if not weights.is_file():
        raise InputError(
            f"{weights}: this file of the bundle is missing; publish or fetch the bundle again."
        )
    if (found := digest_file(weights)) != member.weights_sha256:
        raise InputError(
            f"{weights}: the weights have SHA-256 {found[:12]}…, but bundle.json says "
            f"{member.weights_sha256[:12]}…; the file is damaged or of another training. "
            "Publish or fetch the bundle again."
        )
    try:
        _check_description(description, classes, input_px)
        state = load_file(weights)
        if broken := list_not_finite(state):
            raise ValueError(f"{broken[0]} holds numbers that are not finite")
        _check_fit(description, state, kind)
        model = rebuild_classifier(description, state)
    except (ConfigError, TypeError, KeyError, ValueError, RuntimeError) as error:
        sentence = str(error).splitlines()[0]
        raise InputError(
            f"{weights}: the weights do not fit the network that {description_file.name} "
            f"describes ({sentence}); publish or fetch the bundle again."
        ) from None
    except Exception as error:  # safetensors has an exception class of its own
        raise InputError(
            f"{weights}: not a readable safetensors file ({first_line(error)}); publish or fetch "
            "the bundle again."
        ) from None
    return model


def _check_fit(
    description: dict[str, Any], state: Mapping[str, torch.Tensor], kind: type[TileClassifier]
) -> None:
    """Refuse a description that asks for more memory than the weights, before it is asked for."""
    described = ModelDescription(**description)
    try:
        with torch.device("meta"):  # which has shapes and no numbers
            wanted = sum(tensor.numel() for tensor in kind(described).state_dict().values())
    except (NotImplementedError, RuntimeError):  # some backbones calculate while they are built
        return
    found = sum(tensor.numel() for tensor in state.values())
    if wanted != found:
        raise ValueError(f"{wanted} numbers are described, {found} are there")


def _check_description(
    description: object, classes: list[str] | None, input_px: int | None
) -> None:
    """Refuse a description that would load something else, or that belongs to other classes."""
    if not isinstance(description, dict):
        raise ValueError(f"expected a description, found {type(description).__name__}")
    check_sizes(description)
    check_backbone_name(str(description.get("backbone")))
    options = description.get("backbone_options") or {}
    if bad := [o for o in options if str(o).startswith(_FORBIDDEN_OPTIONS)]:
        raise ValueError(f"the option '{bad[0]}' is not allowed in a bundle")
    if (flips := description.get("flips_at_test", "none")) not in FLIPS_AT_TEST:
        raise ValueError(f"flips_at_test is '{flips}', not one of {', '.join(FLIPS_AT_TEST)}")
    if classes is not None and list(description.get("classes", [])) != classes:
        raise ValueError("its classes are not those of bundle.json")
    if input_px is not None and description.get("input_px") != input_px:
        raise ValueError("its input_px is not that of bundle.json")
