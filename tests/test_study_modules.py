"""Which module does what: an edit concerns the studies whose module it is, and no other."""

from dataclasses import asdict, fields

import pytest

from batteryscope.planning.study_modules import (
    CLASSES,
    NUMBERS,
    ROWS,
    TRACK_SEARCH,
    TRACK_SWEEPS,
    StudyModules,
    load_function,
)
from batteryscope.provenance import PROJECT_ROOT
from tests.conftest import ROOT
from tests.test_provenance import names_for, names_of

KINDS = {"classes": CLASSES, "numbers": NUMBERS, "rows": ROWS}
FUNCTIONS = {
    "generate": "generate",
    "ingest": "ingest",
    "split": "divide",
    "evaluate": "describe_predictions",
    "compare": "compare_study",
    "explain": "explain_study",
    "report": "report_study",
    "bundle": "bundle_models",
    "track": "plan_runs",
    "score_points": "SCORER",
}
PROGRAMS = (
    "generate_dataset", "ingest_dataset", "split_dataset",
    "evaluate_arms", "compare_arms", "explain_study", "report_study", "bundle_models", "track_study"
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_named_module_does_what_its_verb_asks_for(kind: str) -> None:
    for verb, function in FUNCTIONS.items():
        if module := asdict(KINDS[kind])[verb]:
            assert load_function(module, function) is not None, verb


def test_sweeps_and_searches_are_tracked_alike() -> None:
    assert load_function(TRACK_SWEEPS, "plan_runs") is not load_function(TRACK_SEARCH, "plan_runs")


def test_programs_import_no_implementation() -> None:
    modules = [module for kind in KINDS.values() for module in asdict(kind).values() if module]
    named = {module.replace(".", "/") + ".py" for module in modules}
    for program in PROGRAMS:
        found = {name for name in names_for(program) if name.split("/")[1] != "planning"}
        assert not found & named, program
        assert not any("/tables/" in name for name in found), program


@pytest.mark.parametrize(
    ("edited", "verb", "told"),
    [
        ("batteryscope/tables/findings.py", "compare", {"rows"}),
        ("batteryscope/tables/sentences/intervals.j2", "compare", {"rows"}),
        ("batteryscope/evaluation/quantity_findings.py", "compare", {"numbers"}),
        ("batteryscope/evaluation/verdicts.py", "compare", {"classes"}),
        ("batteryscope/report/table_facts.py", "report", {"rows"}),
        ("batteryscope/explain/regression_maps.py", "explain", {"numbers"}),
        ("batteryscope/tables/partial_dependence.py", "explain", {"rows"}),
        ("batteryscope/tables/bundle_write.py", "bundle", {"rows"}),
    ],
)
def test_an_edit_concerns_one_kind_of_study_alone(edited: str, verb: str, told: set[str]) -> None:
    assert (PROJECT_ROOT / edited).is_file()
    kinds = {n for n, modules in KINDS.items() if edited in names_of(asdict(modules)[verb])}
    assert kinds == told


def test_every_rule_whose_program_loads_a_module_declares_it() -> None:
    texts = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "rules").glob("*.smk"))]
    for verb in (field.name for field in fields(StudyModules)):
        assert any(f'doer_code("{verb}")' in text for text in texts) or verb == "baselines"
