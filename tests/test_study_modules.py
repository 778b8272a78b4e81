"""Which module does what: an edit concerns the studies whose module it is, and no other."""

from dataclasses import asdict, fields

import pytest

from batteryscope.answers.choose import ANSWERS
from batteryscope.answers.classes import CLASSES
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.answers.study_modules import (
    COMPARE_SWEEPS,
    TRACK_SEARCH,
    TRACK_SWEEPS,
    StudyModules,
    join_modules,
)
from batteryscope.core.named_function import load_function
from batteryscope.provenance import PROJECT_ROOT
from batteryscope.samples.choose import KINDS as SAMPLES
from batteryscope.samples.ct import CT
from batteryscope.samples.rows import ROWS
from batteryscope.samples.sem import SEM
from tests.conftest import ROOT
from tests.test_provenance import names_for, names_of

KINDS = {
    "classes": join_modules(SEM, CLASSES),
    "scans": join_modules(CT, CLASSES),
    "numbers": join_modules(SEM, QUANTITIES),
    "rows": join_modules(ROWS, QUANTITIES),
}
FUNCTIONS = {
    "generate": "generate",
    "ingest": "ingest",
    "split": "divide",
    "train": "train",
    "search": "find_search",
    "predict": "open_batch",
    "evaluate": "describe_predictions",
    "compare": "compare_study",
    "explain": "explain_study",
    "report": "report_study",
    "bundle": "bundle_models",
    "track": "plan_runs",
    "score_points": "SCORER",
    "external": "open_external",
    "apply": "load_models",
}
PROGRAMS = (
    "generate_dataset", "ingest_dataset", "split_dataset", "train_stage", "evaluate_arms",
    "compare_arms", "explain_study", "report_study", "bundle_models", "track_study",
)  # fmt: skip
# What no rule does: users apply models, and baselines of classes have a program of their own.
WITHOUT_RULE = {"baselines", "predict", "apply"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_named_module_does_what_its_verb_asks_for(kind: str) -> None:
    for verb, function in FUNCTIONS.items():
        if module := asdict(KINDS[kind])[verb]:
            assert load_function(module, function) is not None, verb


def test_sweeps_and_searches_are_tracked_alike() -> None:
    assert load_function(TRACK_SWEEPS, "plan_runs") is not load_function(TRACK_SEARCH, "plan_runs")


def test_sweeps_are_compared_by_the_program_that_compares_arms() -> None:
    others = {load_function(kind.compare, "compare_study") for kind in KINDS.values()}
    assert load_function(COMPARE_SWEEPS, "compare_study") not in others


def test_programs_import_no_implementation() -> None:
    modules = [module for kind in KINDS.values() for module in asdict(kind).values() if module]
    named = {module.replace(".", "/") + ".py" for module in modules}
    for program in PROGRAMS:
        found = {name for name in names_for(program) if name.split("/")[1] != "planning"}
        assert not found & named, program
        assert not any("/tables/" in name for name in found), program


def test_neither_room_imports_what_it_names() -> None:
    for room in ("answers", "samples"):
        for file in sorted((PROJECT_ROOT / "batteryscope" / room).glob("*.py")):
            found = {name.split("/")[1] for name in names_of(f"batteryscope.{room}.{file.stem}")}
            assert not found & {"tables", "evaluation", "bundle", "report", "manifest"}, file.name


@pytest.mark.parametrize(
    ("edited", "verb", "told"),
    [
        ("batteryscope/tables/findings.py", "compare", {"rows"}),
        ("batteryscope/tables/sentences/intervals.j2", "compare", {"rows"}),
        ("batteryscope/evaluation/number_findings.py", "compare", {"numbers"}),
        ("batteryscope/evaluation/class_findings.py", "compare", {"classes", "scans"}),
        ("batteryscope/report/row_input_tables.py", "report", {"rows"}),
        ("batteryscope/explain/number_maps.py", "explain", {"numbers"}),
        ("batteryscope/tables/explain_study.py", "explain", {"rows"}),
        ("batteryscope/tables/bundle_write.py", "bundle", {"rows"}),
        ("batteryscope/readers/volumes.py", "ingest", {"scans"}),
        ("batteryscope/training/fit.py", "train", {"classes", "scans", "numbers"}),
        ("batteryscope/tables/train_stack.py", "train", {"rows"}),
        ("batteryscope/bundle/external_numbers.py", "external", {"numbers"}),
        ("batteryscope/search/plan_table_search.py", "search", {"rows"}),
    ],
)
def test_an_edit_concerns_one_kind_of_study_alone(edited: str, verb: str, told: set[str]) -> None:
    assert (PROJECT_ROOT / edited).is_file()
    named = {name: asdict(modules)[verb] for name, modules in KINDS.items()}
    assert {n for n, module in named.items() if module and edited in names_of(module)} == told


def test_every_rule_whose_program_loads_a_module_declares_it() -> None:
    texts = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "rules").glob("*.smk"))]
    for verb in (field.name for field in fields(StudyModules)):
        declared = any(f'doer_code("{verb}")' in text for text in texts)
        assert declared != (verb in WITHOUT_RULE), verb


def test_every_pair_that_settings_can_ask_for_has_modules() -> None:
    pairs = {(s.name, a.name) for a in ANSWERS for s in SAMPLES if s.learnt_from in a.modules}
    pictures = {(s, a) for s in ("sem", "ct", "coating") for a in ("classes", "quantities")}
    assert pairs == pictures | {("rows", "quantities")}
