"""What the jobs of a workflow have left, with digests: damage is noticed before it is used."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batteryscope.provenance import digest_file

LEDGER = Path("work") / "digests.json"
# Of one file: its size in bytes, when it was written (ns since 1970), its SHA-256.
FileNote = list[Any]
Notes = dict[str, dict[str, FileNote]]  # of outputs, by the names of their files ("" for a file)


def note_results(outputs: Iterable[str | Path], ledger: Path = LEDGER, renew: bool = True) -> None:
    """Write down what outputs hold; those that are noted stay so, those that are gone are not.

    Parameters
    ----------
    outputs
        Files and folders that jobs have left complete.
    ledger
        The file with the notes.
    renew
        Whether outputs that are noted already are looked at anew.
    """
    notes = _read_notes(ledger)
    before = json.dumps(notes)
    for output in map(Path, outputs):
        known = notes.get(output.as_posix())
        if output.exists() and (renew or known is None):
            notes[output.as_posix()] = _describe(output, known or {})
    notes = {name: files for name, files in notes.items() if Path(name).exists()}
    if json.dumps(notes) != before:
        _write_notes(ledger, notes)


def forget_results(outputs: Iterable[str | Path], ledger: Path = LEDGER) -> None:
    """Drop the notes of outputs that jobs are about to write: a killed run leaves others there."""
    notes = _read_notes(ledger)
    gone = notes.keys() & {Path(output).as_posix() for output in outputs}
    if gone:
        _write_notes(ledger, {name: files for name, files in notes.items() if name not in gone})


def remove_damaged(ledger: Path = LEDGER) -> list[str]:
    """Remove outputs that are not what their jobs left, so that they are made again.

    A file whose size and time are as noted counts as unchanged, without being read. Nothing
    outside of the folder of the ledger is removed, whatever a damaged ledger names.

    Returns
    -------
    list of str
        Their paths.
    """
    notes = _read_notes(ledger)
    folder = ledger.parent.resolve()
    damaged = [
        name
        for name, files in notes.items()
        if folder in Path(name).resolve().parents
        and Path(name).exists()
        and _is_changed(name, files)
    ]
    for name in damaged:
        path = Path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if damaged:
        _write_notes(ledger, {n: files for n, files in notes.items() if n not in damaged})
    return damaged


def describe_removal(name: str) -> str:
    """Return the line that tells of an output that was removed."""
    return (
        f"{name}: damaged or changed since its job wrote it; it is removed, and made again "
        "when it is needed."
    )


def _list_files(output: Path) -> dict[str, Path]:
    """The files of an output by their names in it, without those that Snakemake leaves there."""
    if not output.is_dir():
        return {"": output}
    files = (p for p in output.rglob("*") if p.is_file() and not p.name.startswith(".snakemake"))
    return {path.relative_to(output).as_posix(): path for path in sorted(files)}


def _describe(output: Path, known: dict[str, FileNote]) -> dict[str, FileNote]:
    described = {}
    for name, path in _list_files(output).items():
        stat = path.stat()
        note = known.get(name)
        if note is None or note[:2] != [stat.st_size, stat.st_mtime_ns]:
            note = [stat.st_size, stat.st_mtime_ns, digest_file(path)]
        described[name] = note
    return described


def _is_changed(name: str, files: dict[str, FileNote]) -> bool:
    for inside, (size, modified_ns, digest) in files.items():
        path = Path(name, inside) if inside else Path(name)
        if not path.is_file():
            return True
        stat = path.stat()
        as_noted = (stat.st_size, stat.st_mtime_ns) == (size, modified_ns)
        if not as_noted and (stat.st_size != size or digest_file(path) != digest):
            return True
    return False


def _read_notes(ledger: Path) -> Notes:
    """The notes; none where the file is missing or damaged itself."""
    try:
        notes = json.loads(ledger.read_text(encoding="utf-8"))
        return {
            str(name): {str(n): [int(s), int(t), str(d)] for n, (s, t, d) in files.items()}
            for name, files in notes.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _write_notes(ledger: Path, notes: Notes) -> None:
    partial = ledger.with_suffix(".partial")
    ledger.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(notes, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(ledger)
