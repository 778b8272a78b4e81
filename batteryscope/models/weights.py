"""Pretrained weights from a file, never executed, and into a backbone."""

from pathlib import Path

import torch
from torch import Tensor, nn

from batteryscope.errors import InputError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary (safetensors or torch) without running code from the file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path}: not a readable weights file ({type(error).__name__}); expected a "
            "state dictionary saved as .safetensors or by torch.save."
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise InputError(f"{path}: expected a state dictionary, found {type(state).__name__}.")
    return state


def load_pretrained(backbone: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load all weights of a backbone but those of its classifier head.

    Raises
    ------
    InputError
        If the weights belong to another architecture.
    """
    head = tuple(f"{name}." for name in _classifier_names(backbone))
    own = backbone.state_dict()
    needed = {key for key in own if not key.startswith(head)}
    given = {key: value for key, value in state.items() if key in needed}
    missing = sorted(needed - set(given))
    if missing:
        raise InputError(
            f"{origin}: the weights do not fit this backbone ({len(missing)} of {len(needed)} "
            f"tensors are missing, the first is '{missing[0]}'); name the backbone that they were "
            "trained for."
        )
    wrong = [key for key in sorted(given) if given[key].shape != own[key].shape]
    if wrong:
        raise InputError(
            f"{origin}: tensor '{wrong[0]}' has shape {tuple(given[wrong[0]].shape)}, the backbone "
            f"expects {tuple(own[wrong[0]].shape)}; name the backbone that they were trained for."
        )
    backbone.load_state_dict({**own, **given})


def _classifier_names(backbone: nn.Module) -> tuple[str, ...]:
    names = getattr(backbone, "default_cfg", {}).get("classifier", "classifier")
    return (names,) if isinstance(names, str) else tuple(names)
