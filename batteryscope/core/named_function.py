"""A function of a module that is named as text, so that who names it does not import it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def load_function(module: str, name: str) -> Callable[..., Any]:
    """Load a module and return what it does under the name that all of its kind share."""
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
