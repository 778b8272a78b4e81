"""Copies of results outside the workflow's scratch, and whether they are still the right ones."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batteryscope.provenance import digest_file, digest_json

SIDECAR = "digest.json"


def describe_contents(folder: Path, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the ``digest`` over names and contents of a folder, and the SHA-256 of all ``files``.

    Parameters
    ----------
    folder
        Hidden files and the sidecar itself do not count.
    only
        Names relative to the folder, of files that alone count as far as they are there.
    """
    if only is None:
        paths = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        names = [p.relative_to(folder).as_posix() for p in sorted(paths)]
    else:
        names = [name for name in only if (folder / name).is_file()]
    contents = {name: digest_file(folder / name) for name in names if name != SIDECAR}
    return {"digest": digest_json(contents), "files": contents}


def publish_folder(source: Path, target: Path, origin: str | None = None) -> dict[str, Any]:
    """Replace ``target`` by a copy of ``source`` and leave a sidecar that tells what it holds.

    Parameters
    ----------
    source, target
        The folder to copy, and the one to replace.
    origin
        Where the data lie that it was made from, "" if generated: ``data`` of the sidecar.

    Returns
    -------
    dict
        The sidecar: ``digest`` over names and contents, and the SHA-256 of every ``files``.
    """
    sidecar = describe_contents(source) | ({} if origin is None else {"data": origin})
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name in sidecar["files"]:
        copy = partial / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
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
