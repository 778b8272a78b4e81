"""Findings are facts; templates make their sentences, a template for each kind."""

import re

import jinja2
import pytest

from batteryscope.answers.classes import CLASSES
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.core.finding import Finding, Sentences, keep_unique_labels, label_arms
from batteryscope.evaluation.sentences import classes, numbers
from batteryscope.provenance import PROJECT_ROOT
from batteryscope.samples.sem import SEM
from batteryscope.tables import sentences as rows
from tests.test_provenance import names_of

WRITTEN = {  # who may find what is told by these templates
    classes: ("class_findings", "arm_pairs", "grey_mismatch", "straddling", "survey",
              "covariate_findings", "shortcut_study", "prediction_sets"),
    numbers: ("number_findings", "covariate_findings", "number_study", "shortcut_numbers"),
    rows: ("findings",),
}  # fmt: skip
NAMES = {"MISMATCH": "grey_levels_at_test", "COMPUTED": "computed_labels"}


@pytest.mark.parametrize("room", WRITTEN, ids=lambda room: room.__name__.split(".")[-1])
def test_every_kind_that_is_found_has_a_template_and_none_is_left_over(room):
    home = "tables" if room is rows else "evaluation"
    found = set()
    for module in WRITTEN[room]:
        text = (PROJECT_ROOT / f"batteryscope/{home}/{module}.py").read_text(encoding="utf-8")
        for quoted, name in re.findall(r'\bFinding\(\s*(?:"(\w+)"|([A-Z]+))', text):
            found.add(quoted or NAMES[name])
    assert found == room.SENTENCES.kinds


def test_an_edit_of_a_sentence_concerns_only_those_who_tell_it():
    for modules, folder in (
        (CLASSES.modules["tiles"], "classes"),
        (QUANTITIES.modules["rows"], "tables/sentences"),
    ):
        names = names_of(modules.compare)
        templates = {n for n in names if "sentences/" in n and n.endswith(".j2")}
        assert templates
        assert all(folder in name for name in templates)
    assert not any(name.endswith(".j2") for name in names_of(SEM.modules.train))


def test_a_line_of_a_template_is_no_line_of_a_sentence(tmp_path):
    (tmp_path / "speed.j2").write_text(
        "{% if severity == 'good' %}\n{{ who }} is faster\nby {{ share|percent }},\n"
        "{{ gain|signed }} {{ n|count_of('point') }}.\n{% endif %}\n",
        encoding="utf-8",
    )
    sentences = Sentences(tmp_path)
    facts = {"who": "<a & b>", "share": 0.125, "gain": -0.25, "n": 2}
    found = Finding("speed", "good", facts, {"level": "plain"})
    told = "<a & b> is faster by 12.5 %, −0.2 2 points."
    assert sentences.record([found]) == [
        {"kind": "speed", "severity": "good", "level": "plain", "text": told}
    ]
    nothing = sentences.tell(Finding("speed", "good", facts | {"gain": -0.04}))
    assert "+0.0" in nothing  # and no minus before zero
    with pytest.raises(jinja2.UndefinedError, match="who"):
        sentences.tell(Finding("speed", "good"))
    with pytest.raises(jinja2.TemplateNotFound):
        sentences.tell(Finding("colour", None))


def test_arms_with_one_label_keep_their_names_at_any_depth():
    labels = keep_unique_labels({"a": "balanced", "b": "balanced", "c": "as it is", "d": "a"})
    assert labels == {"c": "as it is"}  # "a" is what another arm is called
    facts = {"arm": "a", "others": ({"name": "b"}, {"name": "c", "interval": (1.0, 2.0)})}
    told = label_arms([Finding("pairs", "info", facts | {"better": ["b", "c"]})], labels)[0].facts
    assert told["arm"] == "a"
    assert told["others"] == ({"name": "b"}, {"name": "“as it is”", "interval": (1.0, 2.0)})
    assert told["better"] == ["b", "“as it is”"]
