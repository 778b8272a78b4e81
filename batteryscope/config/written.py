"""What users wrote of a study, layer by layer, apart from what it takes from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batteryscope.config.sweep import split_key


@dataclass(frozen=True)
class Written:
    """The settings of one study as they stand in files and on the command line.

    What a study takes from the one that it is based on is not among them.

    Attributes
    ----------
    layers
        Raw settings, the lowest first: those of params.yaml, its ``demo`` section where that
        applies, the overlay, its ``demo`` section.
    """

    layers: tuple[Mapping[str, Any], ...] = ()

    def list_layers(self, *keys: str) -> list[int]:
        """Return the layers that hold one of these dotted keys, or something of it, in order."""
        return [n for n, layer in enumerate(self.layers) if any(_holds(layer, k) for k in keys)]

    def stands(self, key: str, beside: Sequence[str]) -> bool:
        """Whether somebody wrote a key who could see what the keys ``beside`` it say.

        A key that had an effect where it was written, until a layer above changed what it goes
        with, is nobody's mistake.
        """
        own, others = self.list_layers(key), self.list_layers(*beside)
        return bool(own) and (not others or own[0] >= others[-1])


def read_layers(
    known: Mapping[str, Any] | None, overlaid: Mapping[str, Any] | None, scale: object
) -> Written:
    """Return what params.yaml and overlays say of a study at a scale."""
    layers: list[Mapping[str, Any]] = []
    for given in (known, overlaid):
        if isinstance(given, Mapping):
            layers.append({key: value for key, value in given.items() if key != "demo"})
            demo = given.get("demo")
            layers += [demo] if scale == "demo" and isinstance(demo, Mapping) else []
    return Written(tuple(layers))


def _holds(values: Any, key: str) -> bool:
    first, _, rest = key.partition(".")
    if isinstance(values, list):
        known = first.isdecimal() and int(first) < len(values)
        return known and (not rest or _holds(values[int(first)], rest))
    if not isinstance(values, Mapping):
        return False
    if any(key in split_key(str(name)) for name in values):  # dotted, in a change or a sweep
        return True
    return first in values and (not rest or _holds(values[first], rest))
