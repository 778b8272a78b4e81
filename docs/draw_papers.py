"""Write the tables of docs/papers.md: what each paper states, and what params.yaml has.

    python docs/draw_papers.py

A file of ``docs/papers`` holds one paper: its rows with the status of each. The column of
Batteryscope is read from params.yaml at ``scale: paper``, merged as a run merges it, and the tests
``tests/test_paper_*.py`` compare it with what the row expects.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from batteryscope.config.project import load_project
from batteryscope.config.study import StudySettings
from batteryscope.plan import StudyPlan, plan_study

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE, FOLDER = HERE / "papers.md", HERE / "papers"
STATUSES = {
    "faithful": (
        "as the paper has it; a test compares the value, or what does it or tests it is named"
    ),
    "different": "otherwise here, for the reason given",
    "impossible": "data or programs are not public, or it belongs to the machine",
    "chosen": "the paper does not say it; what was chosen, and why",
    "open": "the paper has it, and it is not built yet",
}
NAMES = {
    "different": "different on purpose",
    "impossible": "not possible here",
    "open": "still to do",
}
INTRODUCTION = """\
# As the papers did it

Settings, methods, figures and tables of the five papers whose studies come with Batteryscope: what
the paper states, and what `params.yaml` has at `scale: paper`. The tables are written by
`python docs/draw_papers.py` from `docs/papers/*.yaml` and from the settings as a run merges them;
`tests/test_paper_*.py` fail where a setting, a published number or a named piece of code is no
longer what a row says. That a setting is the paper's does not say that it was run: what was, and
with which numbers, stands in [results.md](results.md).

"""


@dataclass(frozen=True)
class PaperRow:
    """One statement of a paper, or one thing that it leaves open.

    ``settings`` are dotted keys and their values at paper scale, of the ``arm`` and its ``stage``
    if these are named; ``published`` are reference values that stand beside ours; ``code`` names
    functions of the library or tests as ``file.py::test``.
    """

    what: str
    status: str
    paper: str = ""
    where: str = ""
    study: str = ""
    arm: str = ""
    stage: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Mapping[str, Any], ...] = ()
    code: tuple[str, ...] = ()
    ours: str = ""
    why: str = ""


@dataclass(frozen=True)
class PaperTable:
    """A paper with its rows, part by part."""

    name: str
    title: str
    remarks: str
    parts: Mapping[str, tuple[PaperRow, ...]]

    @property
    def rows(self) -> list[PaperRow]:
        """All rows, in their order."""
        return [row for rows in self.parts.values() for row in rows]


def read_paper(name: str) -> PaperTable:
    """Read ``docs/papers/<name>.yaml``."""
    told = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    parts = {
        title: tuple(_read_row({"study": told["study"]} | row) for row in rows)
        for title, rows in told["parts"].items()
    }
    return PaperTable(name, told["paper"], told.get("remarks", ""), parts)


def _read_row(row: Mapping[str, Any]) -> PaperRow:
    code = row.get("code", ())
    listed = (code,) if isinstance(code, str) else tuple(code)
    return PaperRow(**{**row, "code": listed, "published": tuple(row.get("published", ()))})


def list_papers() -> list[str]:
    """List the names of all papers."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def load_plan(study: str) -> tuple[dict[str, Any], StudyPlan | None]:
    """Return a study's settings at paper scale, all sweeps included, and its plan if it has one."""
    project = load_project(ROOT / "params.yaml", {"scale": "paper", "sweeps": "all"})
    settings = project.studies[study]
    values = settings.model_dump(mode="json", by_alias=True)
    is_planned = isinstance(settings, StudySettings)
    return values, plan_study(study, settings) if is_planned else None


def find_setting(row: PaperRow, key: str) -> Any:
    """Return the value of a dotted key, of the row's arm and stage if it names them.

    Raises
    ------
    KeyError
        There is no such setting, arm or stage.
    """
    values, plan = load_plan(row.study)
    if row.arm:
        assert plan is not None, f"{row.study} has no arms with settings of their own"
        arm = plan.arms[row.arm]
        values = values | arm.recipe.model_dump(mode="json")
        if row.stage:
            stages = [plan.stages[chain].settings for chain in arm.chains]
            [stage] = [one for one in stages if one.stage == row.stage]
            values = values | stage.model_dump(mode="json")
    try:
        return _walk(values, key)
    except KeyError:
        raise KeyError(f"{row.study}: {row.arm or 'no arm named'}: {key}") from None


def _walk(values: Any, key: str) -> Any:
    """Follow a dotted key; keys of the mappings may hold dots themselves."""
    if isinstance(values, list) and key.partition(".")[0].isdecimal():
        first, _, rest = key.partition(".")
        found = values[int(first)]
        return _walk(found, rest) if rest else found
    parts = key.split(".")
    for size in range(len(parts), 0, -1):
        head, rest = ".".join(parts[:size]), ".".join(parts[size:])
        if isinstance(values, Mapping) and head in values:
            return _walk(values[head], rest) if rest else values[head]
    raise KeyError(key)


def list_published(row: PaperRow) -> list[dict[str, Any]]:
    """List all reference values that the row's study shows beside its own."""
    values, _ = load_plan(row.study)
    asked = values["evaluate"]
    kinds = (
        "paper", "paper_classes", "paper_ranges", "paper_orders", "paper_distributions"
    )  # fmt: skip
    listed = [value for kind in kinds for value in asked.get(kind, [])]
    return [*listed, *(v for sweep in values["sweeps"].values() for v in sweep["paper"])]


def render() -> str:
    """Return the text of the page."""
    papers = [read_paper(name) for name in list_papers()]
    lines = [INTRODUCTION]
    lines += [f"- **{NAMES.get(status, status)}**: {text}.\n" for status, text in STATUSES.items()]
    lines += ["\n", *_count(papers)]
    for paper in papers:
        lines.append(f"\n## {paper.title}\n")
        lines += [f"\n{paper.remarks.strip()}\n"] if paper.remarks else []
        for title, rows in paper.parts.items():
            lines += [f"\n### {title}\n\n", "| | the paper | here | status |\n|---|---|---|---|\n"]
            lines += [_render_row(row) for row in rows]
    return "".join(lines)


def _count(papers: list[PaperTable]) -> Iterator[str]:
    heads = [NAMES.get(status, status) for status in STATUSES]
    yield f"| paper | {' | '.join(heads)} | rows |\n|---|{'---|' * (len(heads) + 1)}\n"
    total = dict.fromkeys(STATUSES, 0)
    for paper in papers:
        own = {status: sum(row.status == status for row in paper.rows) for status in STATUSES}
        total = {status: total[status] + own[status] for status in STATUSES}
        yield f"| {paper.title} | {' | '.join(map(str, own.values()))} | {len(paper.rows)} |\n"
    yield f"| all | {' | '.join(map(str, total.values()))} | {sum(total.values())} |\n"


def _render_row(row: PaperRow) -> str:
    paper = row.paper or "not stated"
    if row.where:
        paper += f" ({row.where})"
    arm = f"arm `{row.arm}`" + (f", stage `{row.stage}`" if row.stage else "") if row.arm else ""
    settings = [f"`{key}: {_write(find_setting(row, key))}`" for key in row.settings]
    found = [", ".join(settings), row.ours]
    if row.published:
        found.append("shown beside ours: " + ", ".join(map(_name_value, row.published)))
    if row.code:
        found.append("see " + ", ".join(f"`{name}`" for name in row.code))
    here = ". ".join(part for part in found if part)
    here = f"{arm}: {here}" if arm else here
    status = NAMES.get(row.status, row.status) + (f": {row.why}" if row.why else "")
    cells = (row.what, paper, here, status)
    return "| " + " | ".join(_clean(cell) for cell in cells) + " |\n"


def _clean(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _write(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_write(v)}" for k, v in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name_value(value: Mapping[str, Any]) -> str:
    return " ".join(_write(part) for part in value.values())


def main() -> int:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
