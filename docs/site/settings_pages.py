"""Pages of the site for all settings, from docs/params.schema.json and docs/papers/*.yaml.

A page per section of a study of pictures, one for studies of tables, one for what stands beside
the studies. Every setting has its meaning, unit, default, what it may be, and what papers have.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from docs.draw_papers import NAMES, PaperRow, PaperTable

Schema = Mapping[str, Any]
FOLDER = "reference"
# Units that the name of a setting ends in, the longer ones first.
UNITS = {
    "_mg_cm2": "mg/cm²",
    "_g_cm3": "g/cm³",
    "_m2_s": "m²/s",
    "_mol_m3": "mol/m³",
    "_ma_cm2": "mA/cm²",
    "_px": "pixels",
    "_um": "µm",
    "_nm": "nm",
    "_deg": "degrees",
    "_kv": "kV",
    "_voltage": "V",
    "_fraction": "share, 0 to 1",
    "_share": "share, 0 to 1",
    "lost_particles": "share, 0 to 1",
    "_epochs": "epochs",
    "_kg": "kg",
    "_s": "s",
}
RATES = {"c_rates": "1/h (C-rate)", "kv": "kV", "epochs": "epochs"}
# Sections that have the same settings as another page, which is named instead.
LIKE = {"DatasetSettings": ("dataset", "settings_dataset.md")}
# What decides between several kinds of one section.
DECIDERS = ("method", "kind", "source")
LIMITS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
LONGEST_VALUE = 100  # letters of a value that is written out
PLURALS = {"integer": "integers", "number": "numbers", "string": "texts", "boolean": "yes or no"}


@dataclass(frozen=True)
class Mention:
    """What a paper says of a setting.

    ``key`` is that of the row, ``kinds`` what the sections with several kinds are there.
    """

    key: str
    is_table: bool
    kinds: Mapping[str, str]
    paper: str
    row: PaperRow
    value: Any


@dataclass(frozen=True)
class Setting:
    """One key, as users write it, its anchor, and its part of the schema."""

    key: str
    anchor: str
    schema: Schema


@dataclass(frozen=True)
class Section:
    """Keys that stand together in params.yaml."""

    title: str
    anchor: str
    meaning: str
    settings: list[Setting]


class SettingsWalk:
    """Goes through the schema from a class of settings down to all keys."""

    def __init__(self, schema: Schema) -> None:
        self.classes: Mapping[str, Schema] = schema["$defs"]

    def list_sections(
        self, name: str, prefix: str = "", anchor: str = "", above: tuple[str, ...] = ()
    ) -> Iterator[Section]:
        """List the section of a class, and after it those below it.

        Parameters
        ----------
        name
            Of the class.
        prefix
            The dotted key of the section as users write it; empty: the study itself.
        anchor
            The same with what tells several kinds of a section apart.
        above
            Classes on the way here; none is gone through twice.
        """
        part = self.classes[name]
        own, below = [], []
        for key, value in part["properties"].items():
            place = f"{prefix}.{key}" if prefix else key
            mark = f"{anchor}.{key}" if anchor else key
            own.append(Setting(place, mark, value))
            step = ".NAME" if "patternProperties" in value else ""
            for inner, inner_mark in self.mark_sections(value, mark).items():
                if inner not in (*above, name):
                    below.append((inner, place + step, inner_mark))
        kind = self.find_kind(name)
        is_one_of_several = anchor.endswith(f".{kind}") and not f".{prefix}".endswith(f".{kind}")
        title = f"`{prefix}`" + (self._tell_apart(name) if is_one_of_several else "")
        meaning = inspect_first_paragraph(part.get("description", ""))
        yield Section(title, anchor, meaning, own)
        for inner, place, mark in below:
            yield from self.list_sections(inner, place, mark, (*above, name))

    def mark_sections(self, value: Schema, mark: str) -> dict[str, str]:
        """Return the anchors of the sections that a setting holds, by their classes."""
        classes = [c for c in list_classes(value) if c not in LIKE or LIKE[c][0] == mark]
        several = len(classes) > 1
        return {c: f"{mark}.{self.find_kind(c)}" if several else mark for c in classes}

    def find_kind(self, name: str) -> str:
        """Return what tells a class from others of the same section, as a part of an anchor."""
        _, values = self._find_decider(name)
        words = re.findall("[A-Z][a-z]*", name.removesuffix("Settings"))
        return "_or_".join(values) or "_".join(words).lower()

    def _find_decider(self, name: str) -> tuple[str, list[str]]:
        properties = self.classes[name]["properties"]
        for key in DECIDERS:
            if "const" in properties.get(key, {}):
                return key, [properties[key]["const"]]
        told = properties.get("kind", {})
        return ("kind", told["enum"]) if "enum" in told else ("", [])

    def _tell_apart(self, name: str) -> str:
        key, values = self._find_decider(name)
        if not key:
            return f", {self.find_kind(name).replace('_', ' ')}"
        return f" with `{key}: " + f"` or `{key}: ".join(values) + "`"


def list_classes(value: Any) -> list[str]:
    """List the classes that a property holds, in their order, each once."""
    found: dict[str, None] = {}

    def look(part: Any) -> None:
        if isinstance(part, list):
            for inner in part:
                look(inner)
        elif isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found[part["$ref"].rpartition("/")[2]] = None
            for key, inner in part.items():
                if key not in ("default", "description"):
                    look(inner)

    look(value)
    return list(found)


def inspect_first_paragraph(text: str) -> str:
    """Return the first paragraph of a docstring as Markdown, in one line."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", first).replace("``", "`")


def describe_type(value: Schema) -> str:
    """Say in words what a setting may be."""
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return "one of " + ", ".join(f"`{one}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(describe_type(one) for one in value["anyOf"]))
    if "$ref" in value or "patternProperties" in value:
        return "a section"
    kind = value.get("type")
    if kind == "null":
        return "`null`"
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "array":
        return _describe_list(value)
    if kind == "object":
        inner = value.get("additionalProperties")
        return (
            "names with " + _describe_many(inner) if isinstance(inner, dict) else "names and values"
        )
    if kind in ("integer", "number"):
        return kind + _write_limits(value)
    return "text" if kind == "string" else "any value"


def _write_limits(value: Schema) -> str:
    limits = [f"{sign} {value[word]:g}" for word, sign in LIMITS if word in value]
    return f" {', '.join(limits)}" if limits else ""


def _describe_list(value: Schema) -> str:
    if "prefixItems" in value:
        return "[" + ", ".join(describe_type(one) for one in value["prefixItems"]) + "]"
    return "list of " + _describe_many(value.get("items", {}))


def _describe_many(value: Schema) -> str:
    if "$ref" in value:
        return "sections"
    plain = PLURALS.get(value.get("type", ""))
    if plain is None or "enum" in value:
        return f"({describe_type(value)})" if value else "values"
    limits = (
        describe_type(value).partition(" ")[2] if value["type"] in ("integer", "number") else ""
    )
    return f"{plain} {limits}".strip()


def find_unit(key: str) -> str:
    """Return the unit that the name of a setting states; empty if none."""
    last = key.rpartition(".")[2]
    if last in RATES:
        return RATES[last]
    return next((unit for end, unit in UNITS.items() if last.endswith(end)), "")


def write_value(value: Any) -> str:
    """Write a value as in a YAML file, in one line."""
    if value == "":
        return '""'
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def collect_mentions(papers: list[PaperTable], studies: Mapping[str, Any]) -> list[Mention]:
    """List what papers say of settings, row by row."""
    told = []
    for paper in papers:
        for row in paper.rows:
            study = studies[row.study]
            method = study.get("preprocess", {}).get("method", "")
            kinds = {
                "preprocess": row.settings.get("preprocess.method", method),
                "dataset.generator": (study["dataset"].get("generator") or {}).get("kind", ""),
            }
            is_table = study.get("kind") == "table"
            for key, value in row.settings.items():
                told.append(Mention(key, is_table, kinds, paper.title, row, value))
    return told


class SettingsPages:
    """Writes the pages; ``link_paper`` gives the link from these pages to the papers' page."""

    def __init__(
        self, schema: Schema, papers: list[PaperTable], studies: Mapping[str, Any]
    ) -> None:
        self.schema, self.walk = schema, SettingsWalk(schema)
        self.mentions = collect_mentions(papers, studies)
        self.keys = {
            is_table: {
                one.key: re.compile(re.escape(one.key).replace("NAME", r"[^.]+") + r"(\.|$)")
                for section in self.walk.list_sections(name)
                for one in section.settings
            }
            for is_table, name in ((False, "StudySettings"), (True, "TableStudySettings"))
        }

    def write(self) -> dict[str, str]:
        """Return the text of every page by its path below docs/."""
        pages = {f"{FOLDER}/settings_tables.md": self._write_tables()}
        first, *rest = self.walk.list_sections("StudySettings")
        by_key: dict[str, list[Section]] = {}
        for section in rest:
            by_key.setdefault(section.anchor.partition(".")[0], []).append(section)
        for key, sections in by_key.items():
            meaning = self.walk.classes["StudySettings"]["properties"][key]["description"]
            head = f"# Settings: {key}\n\n{_mark_up(meaning)}\n"
            pages[f"{FOLDER}/settings_{key}.md"] = head + self._write_sections(sections, False)
        pages[f"{FOLDER}/settings.md"] = self._write_start(first, list(by_key))
        return pages

    def _write_start(self, study: Section, keys: list[str]) -> str:
        beside = Section(
            "Beside the studies", "run", "What stands in `params.yaml` beside `studies`.",
            [Setting(k, f"run.{k}", v) for k, v in self.schema["properties"].items()],
        )  # fmt: skip
        tracking = list(self.walk.list_sections("TrackingSettings", "tracking", "run.tracking"))
        properties = self.walk.classes["StudySettings"]["properties"]
        lines = [INTRODUCTION]
        for key in keys:
            first = properties[key]["description"].split(". ")[0].rstrip(".")
            first = first.removeprefix(f"{key}: ")
            lines.append(f"- [`{key}`](settings_{key}.md): {_mark_up(first)}.\n")
        lines.append("- [Studies of tables](settings_tables.md): all of their settings.\n\n")
        own = [one for one in study.settings if one.key not in keys]
        named = Section("Of a study of pictures", "study", study.meaning, own)
        return "".join(lines) + self._write_sections([beside, *tracking, named], False)

    def _write_tables(self) -> str:
        head = (
            "# Settings: studies of tables\n\nStudies with `kind: table`, whose samples are rows"
            " of a table ([how to](../your_tables.md)).\n"
        )
        first, *rest = self.walk.list_sections("TableStudySettings")
        study = Section("Of the study", "study", first.meaning, first.settings)
        return head + self._write_sections([study, *rest], True)

    def _write_sections(self, sections: list[Section], is_table: bool) -> str:
        lines = []
        for section in sections:
            mark = section.anchor or "study"
            lines.append(f"\n## {section.title} {{ #section.{mark} }}\n\n{section.meaning}\n")
            names = frozenset(one.key.rpartition(".")[2] for one in section.settings)
            anchors = {one.anchor for one in sections} - {section.anchor}
            lines += [
                self._write_setting(one, names, anchors, is_table) for one in section.settings
            ]
        return "".join(lines)

    def _link_sections(self, setting: Setting, anchors: Collection[str]) -> str:
        """Say where the settings of a section stand: on this page, or as those of another one."""
        like = [LIKE[c] for c in list_classes(setting.schema) if c in LIKE]
        marks = self.walk.mark_sections(setting.schema, setting.anchor).values()
        links = [f"[{m.rpartition('.')[2]}](#section.{m})" for m in marks if m in anchors]
        told = links or [f"as [`{key}`]({page})" for key, page in like]
        return f": {', '.join(told)}" if told else ""

    def _write_setting(
        self,
        setting: Setting,
        names: frozenset[str],
        anchors: Collection[str],
        is_table: bool,
    ) -> str:
        value = setting.schema
        own = setting.key.rpartition(".")[2]
        marks = f"#{setting.anchor} .setting data-toc-label='{own}'"
        lines = [f"\n### `{setting.key}` {{ {marks} }}\n"]
        lines.append(_mark_up(value.get("description", ""), own, names))
        facts = []
        if unit := find_unit(setting.key):
            facts.append(f"**Unit** {unit}")
        # The defaults of a section of its own stand at its settings.
        is_section = bool(list_classes(value)) and value.get("default") not in (None, [], {})
        if "default" in value and not is_section:
            facts.append(f"**Default** `{write_value(value['default'])}`")
        facts.append(f"**May be** {describe_type(value)}{self._link_sections(setting, anchors)}")
        lines.append(" · ".join(facts) + "\n{ .facts }")
        lines.append("\n".join(self._find_mentions(setting, is_table)))
        return "\n\n".join(line for line in lines if line) + "\n"

    def _find_mentions(self, setting: Setting, is_table: bool) -> list[str]:
        said: dict[str, None] = {}
        for mention in self.mentions:
            if mention.is_table == is_table and self._is_meant(setting, mention):
                said[_write_mention(mention)] = None
        return list(said)

    def _is_meant(self, setting: Setting, mention: Mention) -> bool:
        if self._find_place(mention.key, mention.is_table) != setting.key:
            return False
        for section, kind in mention.kinds.items():
            if setting.anchor.startswith(section + ".") and setting.anchor != setting.key:
                return setting.anchor.startswith(f"{section}.{kind}.")
        return True

    def _find_place(self, key: str, is_table: bool) -> str:
        """Return the setting that a key of a paper's row belongs to, with names of one's own."""
        fits = [one for one, pattern in self.keys[is_table].items() if pattern.match(key)]
        return max(fits, key=len, default="")


def make_anchor(title: str) -> str:
    """Return the anchor that a heading has on the site and on GitHub."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _write_mention(mention: Mention) -> str:
    row = mention.row
    where = f" ({row.where})" if row.where else ""
    is_short = len(json.dumps(mention.value)) <= LONGEST_VALUE
    here = f"; here `{write_value(mention.value)}`" if is_short else ""
    paper = f"[{mention.paper}](../papers.md#{make_anchor(mention.paper)})"
    said = f"{row.what}: {_mark_up(row.paper or 'not stated')}{where}{here}"
    return f"- {paper}, {said}. *{NAMES.get(row.status, row.status)}*"


def _mark_up(text: str, own: str = "", names: frozenset[str] = frozenset()) -> str:
    """Return a plain text for Markdown.

    Names of settings become code: any at the beginning, elsewhere those that are no plain words.
    Nothing else is read as HTML or emphasis.
    """
    text = " ".join(text.split())
    told = sorted((re.escape(name) for name in names if "_" in name), key=len, reverse=True)
    first = {own, *names} - {""} if own else set()
    begun = [rf"^{re.escape(name)}(?=[ :,])" for name in sorted(first, key=len, reverse=True)]
    if not told and not begun:
        return _escape(text)
    parts = re.split(rf"(?<![\w.])({'|'.join([*begun, *told])})(?!\w)", text)
    return "".join(f"`{part}`" if i % 2 else _escape(part) for i, part in enumerate(parts))


def _escape(text: str) -> str:
    return re.sub(r"([<>*_\[\]|])", r"\\\1", text)


INTRODUCTION = """\
# Settings

Every setting of `params.yaml` and of overlays, as `docs/params.schema.json` has them. Each has its
meaning, its unit where it has one, its default, and what it may be. Where a study follows a paper,
the paper's value stands below, with the value here at `scale: paper`
([all rows of the papers](../papers.md)). A name of your own stands for `NAME`.

Sections of a study of pictures or scans:

"""
