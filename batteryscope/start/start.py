"""From a folder to a study that runs: look, plan, check, write."""

import copy
import importlib
import json
import os
import re
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from batteryscope.config.project import RESERVED_NAMES, load_project
from batteryscope.core.run_options import describe_program, describe_run
from batteryscope.errors import BatteryscopeError, InputError
from batteryscope.planning.checks import check_project
from batteryscope.planning.layout import lay_out_study
from batteryscope.provenance import find_home
from batteryscope.samples.kind import Samples
from batteryscope.samples.recommended import recommend
from batteryscope.start.choices import Choice, Choices, comment, strip_reasons, write_choices
from batteryscope.start.fingerprint import list_rows, write_table
from batteryscope.start.machine import Machine, show_duration
from batteryscope.start.planned import Planned
from batteryscope.start.seen import Problem, Seen, name_path

MOST_ROWS = 12  # of the fingerprint, at the head of the file
SCHEMA = Path("docs/params.schema.json")


@dataclass(frozen=True)
class Started:
    """What :func:`plan_from` made of a folder.

    ``overlay`` is the text of the file, None where a problem prevents a study.
    """

    name: str
    overlay: str | None
    problems: list[Problem]
    seconds: float | None = None


def plan_from(
    seen: Seen, samples: Samples, name: str, machine: Machine, root: Path, file: Path
) -> Started:
    """Plan a study, and try it as far as it can be tried without running it.

    Parameters
    ----------
    seen
        What the folder holds.
    samples
        What is looked at.
    name
        Of the study; see :func:`name_study`.
    machine
        Where it will run.
    root
        Folder of the project.
    file
        Where the overlay will lie, for the address of the schema.
    """
    recommended = recommend(samples)
    known = recommended.read_settings(find_home())
    try:
        planned = importlib.import_module(recommended.planner).plan_study(seen, machine, known)
    except BatteryscopeError as error:
        return Started(name, None, [*seen.problems, Problem(str(error), prevents=True)])
    study: dict[str, Choice | Choices] = {}
    if recommended.overlay:
        why = "whose design it takes; every setting below goes before it"
        study["based_on"] = Choice(recommended.study, why)
    study["title"] = Choice(planned.title, "of the report")
    for key, each in planned.study.items():
        is_data = key == "dataset" and not isinstance(each, Choice)
        named = Choice(name, "in reports, and in predictions of the published model")
        study[key] = {"name": named, **each} if is_data else each
    overlay: Choices = {
        "scale": Choice("paper", "as it stands here; 'demo' is for generated data"),
        "studies": {name: study},
    }
    problems = [*seen.problems, *planned.remarks]
    if problem := _try(overlay, name, root):
        return Started(name, None, [*problems, problem])
    text = _write_head(seen, name, planned, machine, root, file) + write_choices(overlay)
    return Started(name, _add_alternatives(text, planned), problems, planned.seconds)


def name_study(wanted: str, place: Path, root: Path) -> str:
    """Return a name for the study: what the user asks for, else one after the folder.

    Raises
    ------
    InputError
        The wanted name is no name of a study, or one that params.yaml has.
    """
    taken = set(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["studies"])
    taken |= RESERVED_NAMES
    if wanted:
        if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", wanted):
            raise InputError(
                f"--name: '{wanted}' is no name of a study; take small letters, digits and _."
            )
        if wanted in taken:
            raise InputError(f"--name: '{wanted}' is a study of params.yaml; take another name.")
        return wanted
    own = place.resolve()
    stem = own.name if own.is_dir() else own.stem
    split = unicodedata.normalize("NFKD", stem.casefold())
    plain = "".join(letter for letter in split if not unicodedata.combining(letter))
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "my_study"
    if any(letter.isalnum() and not letter.isascii() for letter in plain):
        # Other alphabets are lost, and two folders must not become one study.
        name += f"_{zlib.crc32(unicodedata.normalize('NFC', stem).encode()) & 0xFFFF:04x}"
    return f"my_{name}" if name in taken else name


def write_fingerprint(seen: Seen, problems: list[Problem], folder: Path) -> list[Path]:
    """Write what was found as JSON and as text; return both files."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "place": str(seen.place),
        **seen.facts,
        "problems": [{"text": p.text, "prevents": p.prevents} for p in problems],
    }
    files = [folder / "fingerprint.json", folder / "fingerprint.txt"]
    files[0].write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    files[1].write_text(write_table(seen), encoding="utf-8")
    return files


def _try(overlay: Choices, name: str, root: Path) -> Problem | None:
    """Read the overlay as a run would, and check it; say what is wrong with it."""
    values = copy.deepcopy(strip_reasons(overlay))
    try:
        project = load_project(root / "params.yaml", values)
        project = project.model_copy(update={"studies": {name: project.studies[name]}})
        layout = lay_out_study(Path("work") / name, name, project.studies[name])
        check_project({name: layout.plan}, project.written)
    except BatteryscopeError as error:
        words = str(error).removeprefix(f"{root / 'params.yaml'}: ").removeprefix("params.yaml: ")
        return Problem(f"The plan cannot be run as it is: {words}", prevents=True)
    return None


def _write_head(
    seen: Seen, name: str, planned: Planned, machine: Machine, root: Path, file: Path
) -> str:
    schema = Path(os.path.relpath(root / SCHEMA, file.absolute().parent)).as_posix()
    found = list_rows(seen.facts)[:MOST_ROWS]
    rows = [f"  {topic}: {text.replace(chr(10), '; ')}" for topic, text in found]
    expected = (
        f"Expected: about {show_duration(planned.seconds)} on {machine.described}."
        if planned.seconds is not None
        else f"Planned for {machine.described}."
    )
    text = [
        f"Study {name}, planned by: {describe_program('start_study')} {seen.given}",
        "Every choice says why. Edit what you know better, then run it:",
        f"  {describe_run(Path(name_path(file)), name)}",
        expected,
        "",
        "Found:",
        *rows,
    ]
    notes = [f"- {problem.text}" for problem in [*seen.problems, *planned.remarks]]
    if notes:
        text += ["", "Please read:", *notes]
    return f"# yaml-language-server: $schema={schema}\n#\n" + comment("\n".join(text))


def _add_alternatives(text: str, planned: Planned) -> str:
    """Put settings that a person may switch on, as comments, below their section."""
    lines = text.splitlines(keepends=True)
    for section, line in planned.also.items():
        end = lines.index(f"    {section}:\n") + 1
        while end < len(lines) and lines[end].startswith("      "):
            end += 1
        lines.insert(end, f"      # {line}\n")
    return "".join(lines)
