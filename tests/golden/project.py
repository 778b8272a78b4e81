"""A project folder with six small studies up to the training, and what comes after it.

Snakemake says which programs follow and with which arguments; they run in this process, since the
libraries would otherwise be imported anew for each.
"""

import contextlib
import csv
import functools
import importlib.util
import json
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from PIL import Image

from batteryscope.config.project import load_project
from tests.conftest import ROOT, Sandbox
from tests.golden.picture_inputs import write_picture_study
from tests.golden.row_inputs import write_table_study
from tests.studies import image_studies, table_studies

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
STUDIES = (
    "cathode_state", "additive_transfer", "cell_health", "rate_capability",
    "electrode_manufacturing", "gdl_tortuosity",
)  # fmt: skip
TOLERANCE = 2e-6  # relative: the stored numbers have six digits
DIGITS = 6
# Trees of the forests among the baselines: hundreds of them would take half of the time.
FORESTS = (
    "batteryscope.evaluation.baselines.TREES",
    "batteryscope.evaluation.number_baselines.N_TREES",
    "batteryscope.tables.baselines.FOREST_TREES",
)
TREES = 20
SHELL = "Shell command: exec python workflow_scripts/"
# They would attribute with the networks of all arms, or need a tracking server; what they leave
# is written beforehand.
LEFT_OUT = ("explain_study.py", "track_study.py")


def build_project(root: Path) -> Sandbox:
    """Write the six studies as they would be after the training."""
    root.mkdir()
    sandbox = Sandbox(root, yaml.safe_load((HERE / "params.yaml").read_text(encoding="utf-8")))
    project = load_project(root / "params.yaml")
    for name, study in image_studies(project).items():
        write_picture_study(root / "work" / name, name, study)
    for name, tables in table_studies(project).items():
        write_table_study(root / "work" / name, name, tables)
    for name in STUDIES:
        (root / "work" / name / "tracked.json").write_text("{}")
    newest = max(path.stat().st_mtime for path in root.rglob("*"))
    for path in (root / "work").rglob("*"):
        os.utime(path, (newest, newest))
    return sandbox


def plan_programs(sandbox: Sandbox) -> dict[str, list[list[str]]]:
    """Ask Snakemake for the programs that remain, study by study in their order."""
    output = sandbox.snakemake(
        "--dry-run", "--printshellcmds", "--cores", "1", "--rerun-triggers", "mtime"
    ).stdout
    programs: dict[str, list[list[str]]] = {name: [] for name in STUDIES}
    for line in output.splitlines():
        if line.startswith(SHELL):
            words = shlex.split(line.removeprefix(SHELL))
            study = next(n for n in STUDIES if any(f"work/{n}/" in word for word in words))
            if words[0] not in LEFT_OUT:
                programs[study].append(words)
    return programs


@functools.cache
def load_program(file: str) -> Callable[[list[str]], int]:
    """Return the entrance of a program of the workflow."""
    path = ROOT / "workflow_scripts" / file
    spec = importlib.util.spec_from_file_location(f"golden_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entrance: Callable[[list[str]], int] = module.main
    return entrance


def run_programs(root: Path, programs: list[list[str]]) -> None:
    """Run programs inside the project's folder; pictures have names, but nothing is drawn."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(root))
        stack.enter_context(patch("matplotlib.figure.Figure.savefig", _save_blank))
        for place in FORESTS:
            stack.enter_context(patch(place, TREES))
        for file, *arguments in programs:
            for word in arguments:
                if word.startswith("work/"):  # Snakemake makes the folders of outputs
                    Path(word).parent.mkdir(parents=True, exist_ok=True)
            status = load_program(file)(arguments)
            assert status == 0, f"{file} {shlex.join(arguments)}"


# In the project's folder: the smallest letters of every figure, in points, and what they say.
LETTERS = "letters.jsonl"


def _save_blank(figure: Any, target: Any, **options: Any) -> None:
    """Write a white pixel instead of a figure: drawing takes most of the time of a report."""
    texts = [t for t in figure.findobj(_is_text) if t.get_text().strip() and t.get_visible()]
    if texts:
        smallest = min(texts, key=lambda text: text.get_fontsize())
        told = [float(smallest.get_fontsize()), smallest.get_text()]
        with Path(LETTERS).open("a", encoding="utf-8") as stream:  # figures are drawn in forks
            stream.write(json.dumps(told) + "\n")
    if options.get("format") == "svg":
        target.write(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    else:
        Image.new("L", (1, 1), 255).save(target, format="PNG")


def collect_results(root: Path, study: str) -> dict[str, Any]:
    """Return what a study published, by the name of the stored file, as plain values."""
    models, reports = root / "models" / study, root / "reports" / study
    comparison = root / "work" / study / "comparison"
    files = (
        f"{kind}/{path.relative_to(folder).as_posix()}"
        for kind, folder in (("models", models), ("reports", reports))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    # A stage is named after its settings: any new setting with a default gives it another name.
    published = Counter(re.sub(r"-[0-9a-f]{8}(?=[._])", "-<settings>", name) for name in files)
    record = _read_json(models / "bundle.json")
    return {
        "metrics.json": _read_json(comparison / "metrics.json"),
        "comparison.csv": _read_rows(comparison / "comparison.csv"),
        "findings.json": _read_json(comparison / "findings.json"),
        "bundle.json": {k: v for k, v in record.items() if "version" not in k},
        "headline.json": _read_json(reports / "headline.json"),
        "summary.json": _read_json(reports / "summary.json"),
        "published.json": dict(sorted(published.items())),
    }


def _is_text(artist: Any) -> bool:
    return hasattr(artist, "get_fontsize")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [{k: _as_number(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def _as_number(text: str) -> str | float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def store_results(study: str, results: Mapping[str, Any]) -> None:
    """Write what a study published, its numbers with six digits."""
    folder = EXPECTED / study
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in results.items():
        rounded = shorten(values)
        if name.endswith(".csv"):
            with (folder / name).open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, list(rounded[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rounded)
        else:
            text = json.dumps(rounded, indent=0, ensure_ascii=False)
            (folder / name).write_text(text + "\n", encoding="utf-8")


def read_stored(study: str) -> dict[str, Any]:
    """Return what is stored of a study; nothing where there is nothing."""
    read = {".json": _read_json, ".csv": _read_rows}
    return {path.name: read[path.suffix](path) for path in sorted((EXPECTED / study).glob("*.*"))}


def shorten(value: Any) -> Any:
    """Round all numbers to six significant digits."""
    if isinstance(value, dict):
        return {key: shorten(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shorten(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def list_differences(stored: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say what is missing, new or different, one line each."""
    before, after = dict(_flatten(stored)), dict(_flatten(shorten(found)))
    lines = [f"gone:    {place} = {before[place]!r}" for place in before if place not in after]
    lines += [f"new:     {place} = {after[place]!r}" for place in after if place not in before]
    for place, value in before.items():
        if place in after and not _agree(value, after[place]):
            lines.append(f"changed: {place}: {value!r} → {after[place]!r}")
    return lines


def _agree(stored: Any, found: Any) -> bool:
    numbers = (int, float)
    if isinstance(stored, numbers) and isinstance(found, numbers):
        return math.isclose(stored, found, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(stored == found)


def _flatten(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value the name of its place; of a row of a table that is all its text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{place} {key}".strip())
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flatten(inner, f"{place} {_name_row(inner) or number}")
    else:
        yield place, value


def _name_row(row: Any) -> str:
    if not isinstance(row, dict) or "metric" not in row:
        return ""
    return "/".join(str(v) for k, v in row.items() if k not in ("mean", "sd", "n", "paper"))
