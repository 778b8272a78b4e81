"""Finds the weights that the settings name: a file, an installed package, timm's hub."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.models.packaged_weights import (
    LICENCE,
    PackagedWeights,
    find_packaged_weights,
    list_packaged_backbones,
    name_package,
    rename_tensors,
)
from batteryscope.models.weights import read_weights
from batteryscope.models.weights_file import WeightsOrigin, check_weights_file
from batteryscope.provenance import digest_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
# Without this question the hub's own client tries again for 47 s before it gives up.
HUB_ANSWERS_WITHIN_S = 3.0


def find_pretrained(settings: ModelSettings) -> tuple[dict[str, Tensor], WeightsOrigin]:
    """Return pretrained weights and where they came from.

    ``imagenet`` is looked for in an installed package, then in the hub's cache on this machine,
    then on the hub. The package comes first so that a result does not depend on whether the
    internet was up.

    Parameters
    ----------
    settings
        With ``weights`` other than ``random``.

    Raises
    ------
    ConfigError, InputError
        If the weights cannot be had here, are not those that ``weights_sha256`` pins, or are
        damaged.
    """
    if settings.weights != "imagenet":
        path = Path(settings.weights)
        check_weights_file(path, settings.weights_sha256)
        origin = WeightsOrigin(source="file", name=path.name, sha256=digest_file(path))
        return read_weights(path), origin
    packaged = find_packaged_weights(settings.backbone)
    if packaged is not None:
        return _read_packaged(packaged, settings.weights_sha256)
    if settings.weights_sha256 is not None:
        raise ConfigError(
            f"model.weights_sha256: there is no file to compare with for the ImageNet weights of "
            f"'{settings.backbone}'; leave it out, or give model.weights the path of a file."
        )
    return _fetch_from_hub(settings)


def _read_packaged(
    packaged: PackagedWeights, sha256: str | None
) -> tuple[dict[str, Tensor], WeightsOrigin]:
    check_weights_file(packaged.path, sha256)
    origin = WeightsOrigin(
        source="package",
        name=packaged.package,
        version=packaged.version,
        sha256=digest_file(packaged.path),
        licence=LICENCE,
    )
    with torch.device("meta"):  # names and shapes alone
        network = timm.create_model(packaged.backbone)
    state = read_weights(packaged.path)
    return rename_tensors(state, network.state_dict(), origin.describe()), origin


def _fetch_from_hub(settings: ModelSettings) -> tuple[dict[str, Tensor], WeightsOrigin]:
    config = timm.get_pretrained_cfg(settings.backbone)
    hub_id = getattr(config, "hf_hub_id", None)
    options = dict[str, Any](settings.backbone_options)
    if hub_id:
        cached = _find_in_cache(hub_id)
        if cached is not None:
            options["pretrained_cfg_overlay"] = {"file": cached}
        elif not _does_hub_answer():
            raise InputError(_explain_missing(settings.backbone, "the hub cannot be reached"))
    try:
        network = timm.create_model(settings.backbone, pretrained=True, **options)
    except Exception as error:
        raise InputError(_explain_missing(settings.backbone, type(error).__name__)) from None
    origin = WeightsOrigin(
        source="hub",
        name=hub_id or f"torchvision {settings.backbone}",
        licence=getattr(config, "license", None),
    )
    return network.state_dict(), origin


def _find_in_cache(hub_id: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = hub_id.partition("@")
    for file in HUB_FILES:
        found = try_to_load_from_cache(name, file, revision=revision or None)
        if isinstance(found, str):
            return found
    return None


def _does_hub_answer() -> bool:
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_ANSWERS_WITHIN_S)
    except Exception:  # whatever keeps it from answering, of whichever HTTP library
        return False
    return True


def list_cached_backbones() -> list[str]:
    """Return the backbones of timm whose weights were fetched from the hub before."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        known = {repo.repo_id for repo in scan_cache_dir().repos}
    except CacheNotFound:
        return []
    names = [name.removeprefix("timm/") for name in known if name.startswith("timm/")]
    return sorted(name for name in names if timm.is_model(name.split(".")[0]))


def _explain_missing(backbone: str, why: str) -> str:
    here = list_packaged_backbones() + list_cached_backbones()
    package = name_package(backbone)
    install = f"install the package {package}" if package else "connect to the internet once"
    others = f"take a backbone whose weights are here ({', '.join(here)}), " if here else ""
    return (
        f"model.weights: the ImageNet weights of '{backbone}' are not on this machine and could "
        f"not be fetched ({why}); {others}{install}, or give model.weights the path of a file, or "
        "'random'."
    )
