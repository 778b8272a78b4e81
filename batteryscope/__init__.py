"""Batteryscope: learn the state of a battery from pictures of it."""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load", "read_picture", "read_volume", "results"]


def __getattr__(name: str) -> Any:
    # All programs import this package; what users get needs PyTorch, and comes when asked for.
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
