"""Copies of results outside the workflow's scratch, and whether they are still the right ones."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batteryscope.provenance import digest_file, digest_json

SIDECAR = "digest.json"


def publish_folder(source: Path, target: Path) -> dict[str, Any]:
    """Replace ``target`` by a copy of ``source`` and leave a sidecar that tells what it holds.

    Returns
    -------
    dict
        The sidecar: ``digest`` over names and contents, and the SHA-256 of every ``files``.
    """
    files = sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith("."))
    names = [p.relative_to(source).as_posix() for p in files]
    contents = dict(zip(names, map(digest_file, files), strict=True))
    sidecar = {"digest": digest_json(contents), "files": contents}
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, path in zip(names, files, strict=True):
        copy = partial / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (partial / SIDECAR).write_text(
        json.dumps(sidecar, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)
    return sidecar


def is_published(target: Path, digest: str) -> bool:
    """Whether ``target`` holds what was published under ``digest``, by sidecar and contents."""
    try:
        sidecar = json.loads((target / SIDECAR).read_text(encoding="utf-8"))
        contents = {name: digest_file(target / name) for name in sidecar["files"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(sidecar["digest"] == digest and contents == sidecar["files"])


def forget_stale_publication(marker: Path, targets: Sequence[Path]) -> bool:
    """Remove the workflow's note of a publication that is no longer what was published.

    After ``dvc checkout`` of another version, or when somebody deleted or changed a
    published file, the note is wrong; without it the workflow publishes again.

    Parameters
    ----------
    marker
        The note: JSON with ``digests`` by folder.
    targets
        The published folders.

    Returns
    -------
    bool
        Whether a note was removed.
    """
    try:
        digests = json.loads(marker.read_text(encoding="utf-8"))["digests"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError):
        digests = {}
    if all(is_published(t, digests.get(t.as_posix(), "")) for t in targets):
        return False
    marker.unlink()
    return True
