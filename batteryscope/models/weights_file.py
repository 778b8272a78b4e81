"""The identity of pretrained weights, checked before anything expensive is imported."""

from pathlib import Path
from typing import Literal

from batteryscope.config.base import Settings
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError, InputError
from batteryscope.models.packaged_weights import find_packaged_weights
from batteryscope.provenance import digest_file

_SOURCES = {"file": "the file", "package": "the package", "hub": "the hub"}


class WeightsOrigin(Settings):
    """Where pretrained weights came from.

    ``name`` is that of the file, the package, or the place on the hub; ``version`` and ``licence``
    stand where they are known, ``sha256`` for a file, also one in a package.
    """

    source: Literal["file", "package", "hub"]
    name: str
    version: str | None = None
    sha256: str | None = None
    licence: str | None = None

    def describe(self) -> str:
        """Return a phrase such as ``the package p 0.1.0 (Apache-2.0; SHA-256 57934424…)``."""
        version = f" {self.version}" if self.version else ""
        facts = [self.licence, f"SHA-256 {self.sha256[:12]}…" if self.sha256 else None]
        known = "; ".join(fact for fact in facts if fact)
        return f"{_SOURCES[self.source]} {self.name}{version}" + (f" ({known})" if known else "")


def check_weights_file(path: Path, sha256: str | None) -> None:
    """Raise if a local weights file is missing or is not the file that was meant.

    Raises
    ------
    ConfigError
        If the file does not exist.
    InputError
        If its SHA-256 differs from ``sha256``.
    """
    if not path.is_file():
        raise ConfigError(
            f"model.weights: found '{path}', which is no file; expected 'imagenet', 'random' "
            "or the path of a weights file."
        )
    if sha256 is not None and (found := digest_file(path)) != sha256:
        raise InputError(
            f"{path}: the weights file has SHA-256 {found[:12]}…, but model.weights_sha256 says "
            f"{sha256[:12]}…; fetch the right file or correct the hash."
        )


def digest_weights(settings: ModelSettings) -> str:
    """Return the SHA-256 of the file that a network starts from; "" if there is none."""
    if settings.weights == "random":
        return ""
    if settings.weights == "imagenet":
        packaged = find_packaged_weights(settings.backbone)
        return digest_file(packaged.path) if packaged else ""
    path = Path(settings.weights)
    return digest_file(path) if path.is_file() else ""
