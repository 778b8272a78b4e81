"""What a comparison found: facts, and the sentences that templates make of them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batteryscope.core.plural import count_of

if TYPE_CHECKING:
    import jinja2

Severity = Literal["good", "info", "warning"]
ARM_FACTS = ("main_arm", "arm", "name", "better")
NAMES_CLASSES = ("sets",)  # kinds of which a name is that of a class


@dataclass(frozen=True)
class Finding:
    """One thing that a reader must know beside the numbers.

    Attributes
    ----------
    kind
        Which sentence it is: the name of the template.
    severity
        None where the report grades it by itself.
    facts
        What the template needs, beside the severity.
    marks
        Further fields of ``findings.json``, such as ``level`` (how it is coloured) or ``arm``.
    """

    kind: str
    severity: Severity | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)


def keep_unique_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Leave out labels by which a reader could not tell one arm from another.

    Parameters
    ----------
    labels
        By arm, in the settings.

    Examples
    --------
    >>> keep_unique_labels({"os": "balanced", "wl": "balanced", "raw": "as it is"})
    {'raw': 'as it is'}
    """
    times = Counter([*labels.values(), *labels])
    return {arm: label for arm, label in labels.items() if times[label] - (label == arm) == 1}


def label_arms(findings: Iterable[Finding], labels: Mapping[str, str]) -> list[Finding]:
    """Put the labels of arms, in quotation marks, in place of their keys in the settings.

    Parameters
    ----------
    findings
        With arms as :data:`ARM_FACTS`, at any depth of mappings, lists and tuples.
    labels
        By arm (:func:`keep_unique_labels`); one without a label keeps its key.

    Examples
    --------
    >>> found = Finding("pairs", "info", {"main_arm": "os", "others": [{"name": "wl"}]})
    >>> label_arms([found], {"os": "oversampled"})[0].facts
    {'main_arm': '“oversampled”', 'others': [{'name': 'wl'}]}
    """

    def label(fact: Any, key: str = "") -> Any:
        if isinstance(fact, Mapping):
            return {name: label(value, name) for name, value in fact.items()}
        if type(fact) in (list, tuple):
            return type(fact)(label(value, key) for value in fact)
        known = labels.get(fact, "") if key in ARM_FACTS and isinstance(fact, str) else ""
        return f"“{known}”" if known else fact

    return [
        found if found.kind in NAMES_CLASSES else replace(found, facts=label(found.facts))
        for found in findings
    ]


class Sentences:
    """Makes sentences of findings, by a template ``<kind>.j2`` for each kind.

    Parameters
    ----------
    folders
        Hold the templates, those of the first before those of the others; a line break in one of
        them is a space in the sentence.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders

    @property
    def kinds(self) -> set[str]:
        """The kinds of findings that it has a template for."""
        return {path.stem for folder in self._folders for path in folder.glob("[!_]*.j2")}

    def tell(self, finding: Finding) -> str:
        """Return the sentence of a finding.

        Raises
        ------
        jinja2.TemplateNotFound
            The kind has no template.
        jinja2.UndefinedError
            A fact is missing.
        """
        template = self._environment.get_template(f"{finding.kind}.j2")
        text = template.render({**finding.facts, "severity": finding.severity})
        return re.sub(r"\s*\n\s*", " ", text.strip())

    def record(self, findings: Iterable[Finding]) -> list[dict[str, str]]:
        """Return findings as ``findings.json`` holds them: ``kind``, ``severity``, ``text``."""
        return [
            {"kind": finding.kind}
            | ({} if finding.severity is None else {"severity": finding.severity})
            | {**finding.marks, "text": self.tell(finding)}
            for finding in findings
        ]

    @cached_property
    def _environment(self) -> "jinja2.Environment":
        import jinja2

        environment = jinja2.Environment(  # texts are escaped where a page shows them
            loader=jinja2.FileSystemLoader(self._folders),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "number": format,
            "percent": _show_percent,
            "signed": _show_signed,
            "interval": _show_interval,
            "p_value": _show_p_value,
            "count_of": count_of,
        }
        return environment


def _show_percent(share: float, decimals: int = 1) -> str:
    """Return 0.938 as ``93.8 %``."""
    return f"{100 * share:.{decimals}f} %"


def _show_signed(value: float, form: str = "+z.1f") -> str:
    """Return the number with + or a real minus."""
    return format(value, form).replace("-", "−")


def _show_interval(
    ends: tuple[float, float] | None, factor: float = 1.0, form: str = "+z.1f"
) -> str:
    """Return ``95 % interval −1.2 to +3.4`` of a difference."""
    if ends is None:
        return "no interval is known from a single fit and unit"
    low, high = (_show_signed(factor * end, form) for end in ends)
    return f"95 % interval {low} to {high}"


def _show_p_value(p_value: float | None, comparisons: int) -> str:
    """Return ``p = 0.022 after Holm's correction for 2 comparisons``."""
    if p_value is None:
        return "not tested"
    told = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    return (
        f"{told} after Holm's correction for {comparisons} comparisons" if comparisons > 1 else told
    )
