"""The identity of a weights file, checked before anything expensive is imported."""

from pathlib import Path

from batteryscope.errors import ConfigError, InputError
from batteryscope.provenance import digest_file


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
