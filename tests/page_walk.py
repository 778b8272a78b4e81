"""A user who does what a page of docs/ says, with the installed package in a project folder."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.installed_package import InstalledPackage

# A block of a page: a file or a part of one, or lines for a terminal; other blocks show something.
BLOCK = re.compile(r"^```yaml\n(?P<file>(?:.*\n)*?)```$|(?P<lines>(?:^ {4}.*\n)+)", re.MULTILINE)
TYPED = re.compile(r"(batteryscope|cp|dvc|git|mkdir) ")
NOT_HERE = ("dvc import", "batteryscope ui", "batteryscope app")  # internet; servers without end
RUN = re.compile(r"^batteryscope run \S+", re.MULTILINE)
OVERLAYS = re.compile(r"--configfile((?: \S+\.yaml)+)")
NEW = re.compile(r"^batteryscope new (\S+)", re.MULTILINE)
PLACE = re.compile(r"`((?:reports|models|work)/(?:my_|<study>)[^`]*)`")


@dataclass
class Walk:
    """A user who does what a page says, from its first line to its last.

    ``small`` fits every study of the page, ``by_hand`` only the one whose file the page shows.
    """

    package: InstalledPackage
    root: Path
    page: str
    small: dict[str, Any]
    by_hand: dict[str, Any] = field(default_factory=dict)
    placeholders: dict[str, str] = field(default_factory=dict)
    study: str = ""
    configs: str = ""
    parts: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Write its files, type its commands, look where it says that results lie."""
        for kind, block in read_blocks(self.text):
            if kind == "lines":
                self.type(block)
            elif block.startswith(" "):
                self.parts.append(block)
            elif "studies:" in block:
                self.write(block)
        assert any("batteryscope predict" in line for line in self.typed), self.typed
        for place in PLACE.findall(self.text):
            name = place.replace("<study>", self.study)
            assert list(self.root.glob(name.rstrip("/"))), f"{self.page}: there is no {name}"

    @property
    def text(self) -> str:
        return (ROOT / "docs" / self.page).read_text(encoding="utf-8")

    def write(self, text: str) -> None:
        """Save a file of the page under the name of its study."""
        (self.study,) = yaml.safe_load(text)["studies"]
        (self.root / f"{self.study}.yaml").write_text(text, encoding="utf-8")
        self.written.append(self.study)

    def type(self, lines: str) -> None:
        """Type a block into a terminal; every line has to succeed."""
        if lines.startswith(NOT_HERE):
            return
        for word, meant in self.placeholders.items():
            lines = lines.replace(word, meant)
        typed = "\n".join(map(self._shrink, lines.splitlines()))
        self.said += self.package.type(self.root, typed).stdout.splitlines()
        self.typed += lines.splitlines()
        if found := NEW.search(lines):  # which goes into the folder
            self.root /= found[1]

    def _shrink(self, line: str) -> str:
        """Let a run read a further file, with the small sizes."""
        found = RUN.match(line)
        if not found:
            return line
        (study,) = found[0].split()[2:]
        values = {**self.small, **(self.by_hand if study in self.written else {})}
        (self.root / "small.yaml").write_text(yaml.safe_dump({"studies": {study: values}}))
        if given := OVERLAYS.search(line):
            self.configs = given[1]
            return line.replace(given[0], f"{given[0]} small.yaml")
        self.configs = ""
        return line.replace(found[0], f"{found[0]} --configfile small.yaml")

    def try_parts(self) -> None:
        """Put parts of a file where they belong, by how far they are indented; plan each run."""
        for part in self.parts:
            indent = len(part) - len(part.lstrip(" "))
            above = f"studies:\n  {self.study}:\n" + ("    dataset:\n" if indent == 6 else "")
            (self.root / "part.yaml").write_text(above + part, encoding="utf-8")
            options = f"--configfile{self.configs} part.yaml"
            self.package.type(self.root, f"batteryscope run {self.study} -n {options}")


def read_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the files and parts of files of a page, and its lines for a terminal."""
    for found in BLOCK.finditer(text):
        if found["file"]:
            yield "file", found["file"]
        elif TYPED.match(block := textwrap.dedent(found["lines"])):
            yield "lines", block
