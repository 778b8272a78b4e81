"""Write measured numbers into the documents, from the reports of finished runs.

    python docs/demo_numbers.py                            # write the sections anew
    python docs/demo_numbers.py --reports reports          # with the demo's numbers of it
    python docs/demo_numbers.py --reports reports --check  # only say which have moved
    python docs/demo_numbers.py --renew                    # run what takes under half an hour
    python docs/demo_numbers.py --renew electrode_paper    # one of them

Every section between ``<!-- RUN: NAME -->`` and ``<!-- end of RUN -->`` of README.md and
results.md comes from ``demo_sections/NAME.md.j2``. The numbers that these sections ask for are
stored in ``demo_numbers.yaml`` by run, with command, commit and date; reports are no part of a
clone. The run ``demo`` is `make run`; the others work in ``work/results/RUN``.
``tests/test_demo_numbers.py`` fails where a section is not what its template and the numbers give.
"""

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NUMBERS, SECTIONS = HERE / "demo_numbers.yaml", HERE / "demo_sections"
PAGES = (ROOT / "README.md", HERE / "results.md")
WORKPLACE = ROOT / "work" / "results"
DEMO = "demo"
LONGEST_MINUTES = 30
DIGITS = 6
# Another processor adds in another order, and a network whose training differs in its last digit
# ends elsewhere: numbers may move by this before somebody has to look. Shares (0 to 1) by so many
# test samples in a hundred, errors in percent by so much of themselves.
SHARE_TOLERANCE, ERROR_TOLERANCE = 0.1, 0.25
SECTION = re.compile(r"<!-- (\w+): (\w+) -->\n(.*?)<!-- end of \1 -->", re.DOTALL)
HEAD = """\
# Measured numbers that the documents show, by run: written by docs/demo_numbers.py, never by hand.
"""


@dataclass
class Study:
    """The numbers of one study, looked up by the templates; what was asked for is kept.

    ``metrics`` are those of ``metrics.json``, ``tables`` those of the report's CSV tables by
    ``table/column/conditions``, ``findings`` the report's sentences by kind.
    """

    name: str
    metrics: Mapping[str, float]
    source: "Report | None" = None
    asked: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, key: str) -> float:
        """Return a number; it is remembered as asked for."""
        if key not in self.metrics and self.source is not None and "/" in key:
            value = self.source.look_up(key)
        elif key in self.metrics:
            value = self.metrics[key]
        else:
            raise KeyError(
                f"{self.name} has no number '{key}'; correct the section, or renew the numbers "
                "with --reports."
            )
        self.asked[key] = value = round(float(value), DIGITS)
        return value

    def value(self, key: str, digits: int = 1) -> str:
        """Show a number."""
        return f"{self[key]:.{digits}f}"

    def signed(self, key: str, digits: int = 1, factor: float = 1.0) -> str:
        """Show a difference with its sign."""
        return f"{factor * self[key]:+.{digits}f}".replace("-", "−")

    def percent(self, key: str, digits: int = 1) -> str:
        """Show a share as percent, without the sign."""
        return f"{100 * self[key]:.{digits}f}"

    def interval(self, key: str) -> str:
        """Show the ends of the 95 % interval of a share as percent."""
        return f"{self.percent(key + '_low', 0)}–{self.percent(key + '_high', 0)} %"

    def shares(self, key: str, digits: int = 1) -> str:
        """Show mean and standard deviation of a share over the fits, in percent."""
        return f"{self.percent(key, digits)} ± {self.percent(key + '_sd', digits)} %"

    def spread(self, key: str, digits: int | None = 1) -> str:
        """Show mean and standard deviation of a number over the fits; None: three figures."""
        if digits is None:
            size = abs(self[key])
            digits = next((n for limit, n in ((10, 2), (100, 1)) if size < limit), 0)
        return f"{self.value(key, digits)} ± {self.value(key + '_sd', digits)}"

    def has(self, key: str) -> bool:
        """Whether there is such a number: not every arm answers everything."""
        return key in self.metrics

    def mean(self, keys: Sequence[str], digits: int = 1) -> str:
        """Show the mean of several numbers."""
        return f"{sum(self[key] for key in keys) / len(keys):.{digits}f}"


@dataclass(frozen=True)
class Report:
    """A finished report of a study of the demo."""

    folder: Path

    @property
    def metrics(self) -> dict[str, float]:
        """The flat metrics."""
        return dict(json.loads((self.folder / "metrics.json").read_text(encoding="utf-8")))

    @property
    def is_generated(self) -> bool:
        """Whether a program made the data: only those are the demo's."""
        summary = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return bool(summary["generated"])

    def look_up(self, key: str) -> float:
        """Return a cell of a table: ``paired/difference/first=a,second=b``.

        ``shares/mean share/arm=a`` is the mean of a column over the rows that fit.
        """
        table, column, wanted = key.split("/")
        is_mean = column.startswith("mean ")
        column = column.removeprefix("mean ")
        conditions = [text.split("=") for text in wanted.split(",")]
        place = self.folder if table == "comparison" else self.folder / "tables"
        path = place / f"{table}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [
                row
                for row in csv.DictReader(stream)
                if all(row[name] == value for name, value in conditions)
            ]
        if not rows or (len(rows) > 1 and not is_mean):
            raise KeyError(f"{path}: {len(rows)} rows with {wanted}; name one.")
        return fmean(float(row[column]) for row in rows)


def read_numbers() -> dict[str, dict[str, Any]]:
    """Return what is stored of every run: ``commit, date, command, minutes, machine, studies``.

    A run of data that are not generated says in ``data`` where they must lie.
    """
    return dict(yaml.safe_load(NUMBERS.read_text(encoding="utf-8")))


def render(name: str, stored: Mapping[str, Any], studies: Mapping[str, Study]) -> str:
    """Return a section as it stands in the documents."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SECTIONS), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    day = date.fromisoformat(str(stored["date"]))
    told = (
        f"*Commit {stored['commit']}, {day.day} {day:%B %Y}, `{stored['command']}`, "
        f"{stored['machine']}.*"
    )
    template = environment.get_template(f"{name}.md.j2")
    return template.render(studies, measured=told)


def write_page(text: str, runs: Mapping[str, Any], studies: Mapping[str, Any]) -> str:
    """Return a page with the sections of these ``studies``, which are by run, anew."""

    def replace(found: re.Match[str]) -> str:
        run = found[1]
        if run not in studies:
            return found[0]
        body = render(found[2], runs[run], studies[run])
        return f"<!-- {run}: {found[2]} -->\n{body}<!-- end of {run} -->"

    return SECTION.sub(replace, text)


def open_studies(stored: Mapping[str, Any], reports: Path | None = None) -> dict[str, Study]:
    """Return the numbers of all studies of a run, of finished reports if a folder is given."""
    if reports is None:
        return {name: Study(name, numbers) for name, numbers in stored["studies"].items()}
    found = {}
    for name in stored["studies"]:
        report = Report(reports / name)
        if report.is_generated == bool(stored.get("data")):
            raise ValueError(
                f"{report.folder} is of other data than those that the documents show."
            )
        found[name] = Study(name, report.metrics, report)
    return found


def renew_run(name: str, stored: Mapping[str, Any]) -> Path:
    """Give the command of a run in a folder of its own and return the folder of its reports."""
    words = shlex.split(stored["command"])
    if words[0] == "make":
        subprocess.run(words, cwd=ROOT, check=True)
        return ROOT / "reports"
    folder = WORKPLACE / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")
    given = [str(ROOT / word) if word.startswith("configs/") else word for word in words[1:]]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [words[0], "--snakefile", str(ROOT / "Snakefile"), *given]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder / "reports"


def choose_runs(asked: Sequence[str], runs: Mapping[str, Any]) -> list[str]:
    """Return the runs to renew: those that are asked for, or all short ones whose data are here."""
    if unknown := set(asked) - set(runs):
        raise SystemExit(f"There is no run {', '.join(sorted(unknown))}; known: {', '.join(runs)}.")
    chosen = []
    for name, stored in runs.items():
        lacking = [path for path in stored.get("data", ()) if not (ROOT / path).exists()]
        if lacking and (name in asked or not asked):
            print(
                f"{name}: left out without {', '.join(lacking)}; docs/results.md says where from."
            )
        elif name in asked or (not asked and stored["minutes"] <= LONGEST_MINUTES):
            chosen.append(name)
    return chosen


def list_moved(old: Mapping[str, float], new: Mapping[str, float]) -> list[str]:
    """List the numbers that differ by more than the tolerance, and those that are gone."""
    moved = []
    for key, value in old.items():
        metric = key.rpartition(".")[2]
        if key not in new:
            moved.append(f"{key}: {value:g}, and no number any more")
            continue
        is_error = metric.startswith(("mape", "mae", "rmse", "log_loss"))
        allowed = ERROR_TOLERANCE * abs(value) if is_error else SHARE_TOLERANCE
        if abs(new[key] - value) > allowed:
            moved.append(f"{key}: {value:g}, now {new[key]:g}")
    return moved


def take_over(
    stored: dict[str, Any], studies: Mapping[str, Study], reports: Path, commit: str, machine: str
) -> None:
    """Store which numbers the sections asked for, and whose they are."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short=7", "HEAD"]
    stored["commit"] = commit or subprocess.check_output(git, text=True).strip()
    stored["date"] = date.fromtimestamp((reports / "index.html").stat().st_mtime)
    stored["machine"] = machine or stored["machine"]
    stored["studies"] = {n: dict(sorted(s.asked.items())) for n, s in studies.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Write sections and numbers, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--reports", type=Path, help="folder with the reports of a finished run")
    parser.add_argument("--run", default=DEMO, help="whose reports these are; default: the demo's")
    parser.add_argument("--renew", nargs="*", metavar="RUN", help="run them; default: short ones")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if numbers moved")
    parser.add_argument("--commit", default="", help="whose numbers they are; default: HEAD")
    parser.add_argument("--machine", default="", help="where they were measured, in a few words")
    asked = parser.parse_args(argv)
    runs = read_numbers()
    reports = {asked.run: asked.reports} if asked.reports is not None else {}
    if asked.renew is not None:
        reports = {name: renew_run(name, runs[name]) for name in choose_runs(asked.renew, runs)}
    chosen = reports or runs
    studies = {name: open_studies(runs[name], reports.get(name)) for name in chosen}
    if asked.check:
        moved = [
            f"{name}: {line}"
            for name, numbers in runs[asked.run]["studies"].items()
            for line in list_moved(
                {key: value for key, value in numbers.items() if "/" not in key},
                studies[asked.run][name].metrics,
            )
        ]
        print("\n".join(moved) or "All numbers of the documents are within the tolerance.")
        return bool(moved)
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for text in texts.values():
        write_page(text, runs, studies)  # what the sections ask for
    for name, folder in reports.items():
        take_over(runs[name], studies[name], folder, asked.commit, asked.machine)
    for page, text in texts.items():
        page.write_text(write_page(text, runs, studies), encoding="utf-8")
    if reports:
        text = yaml.safe_dump(runs, sort_keys=False, allow_unicode=True, width=120)
        NUMBERS.write_text(HEAD + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
