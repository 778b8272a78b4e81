"""All networks of a study in two files: tensors, and what is known about them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from batteryscope.errors import InputError
from batteryscope.tables.network_tasks import TrainedNetwork
from batteryscope.tables.networks import Stack, build_stack

FORMAT_VERSION = 1
TENSORS, DESCRIPTIONS = "networks.safetensors", "networks.json"


def write_networks(
    folder: Path,
    trained: Mapping[str, TrainedNetwork],
    plan: pd.DataFrame,
    features: Sequence[str],
) -> None:
    """Write ``networks.safetensors`` and ``networks.json`` into an existing folder.

    A tensor is named ``<task>/<name in the network>``. The JSON file holds ``format``,
    ``features`` (in the order of the inputs), ``networks`` (by task: ``network`` for
    ``build_stack``, ``trained_parameters``, ``best_epoch``, ``restart``,
    ``validation_mape``) and ``plan`` (one object per line of the plan).
    """
    tensors: dict[str, torch.Tensor] = {}
    descriptions = {}
    for name, result in trained.items():
        for key, tensor in result.network.state_dict().items():
            tensors[f"{name}/{key}"] = tensor.contiguous()
        trainable = [p for p in result.network.parameters() if p.requires_grad]
        descriptions[name] = {
            "network": result.network.describe(),
            "trained_parameters": sum(p.numel() for p in trainable),
            "best_epoch": result.best_epoch,
            "restart": result.restart,
            "validation_mape": _find_validation_error(result),
        }
    records = json.loads(plan.to_json(orient="records"))  # which writes NaN as null
    values = {
        "format": FORMAT_VERSION,
        "features": list(features),
        "networks": descriptions,
        "plan": records,
    }
    save_file(tensors, folder / TENSORS)
    text = json.dumps(values, ensure_ascii=False, indent=1)
    (folder / DESCRIPTIONS).write_text(text + "\n", encoding="utf-8")


def _find_validation_error(result: TrainedNetwork) -> float | None:
    """Return the validation error of the best epoch, in percent; None without epochs."""
    if result.best_epoch == 0:
        return None
    return round(float(result.validation_mape[result.best_epoch - 1]), 6)


def read_descriptions(folder: Path) -> dict[str, Any]:
    """Read ``networks.json``.

    Raises
    ------
    InputError
        If the file has a format that this version does not know.
    """
    path = folder / DESCRIPTIONS
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if values.get("format") != FORMAT_VERSION:
        raise InputError(
            f"{path}: found format {values.get('format')}; expected {FORMAT_VERSION}; train the "
            "networks again."
        )
    return values


def read_plan(descriptions: Mapping[str, Any]) -> pd.DataFrame:
    """Return the plan as a table; ``value`` is NaN where there is no ablation."""
    return pd.DataFrame(descriptions["plan"]).astype({"value": "float64"})


def read_networks(folder: Path, names: Sequence[str] | None = None) -> dict[str, Stack]:
    """Rebuild networks (all, or those of some tasks) that :func:`write_networks` wrote.

    Raises
    ------
    InputError
        If a name is none of the tasks.
    """
    descriptions = read_descriptions(folder)["networks"]
    wanted = list(descriptions) if names is None else list(names)
    if missing := sorted(set(wanted) - set(descriptions)):
        raise InputError(
            f"{folder / DESCRIPTIONS}: found no network '{missing[0]}'; expected one of the "
            f"{len(descriptions)} tasks; train the networks again."
        )
    states: dict[str, dict[str, torch.Tensor]] = {name: {} for name in wanted}
    for key, tensor in load_file(folder / TENSORS).items():
        task, _, name = key.rpartition("/")
        if task in states:
            states[task][name] = tensor
    networks = {}
    for name in wanted:
        network = build_stack(descriptions[name]["network"])
        network.load_state_dict(states[name])
        networks[name] = network.eval()
    return networks
