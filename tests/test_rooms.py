"""What is looked at and what is predicted: decided in one place each, from settings or results."""

import json
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from batteryscope.answers.choose import ANSWERS, answer_of, bundle_called
from batteryscope.answers.classes import CLASSES
from batteryscope.answers.kind import Answer
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.bundle.open import find_kind, read_any_record
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.learning import TrainSettings
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.project import load_project
from batteryscope.core.baseline_catalogue import OF_CLASSES
from batteryscope.errors import InputError
from batteryscope.manifest.columns import list_columns
from batteryscope.planning.layout import lay_out_study
from batteryscope.samples.choose import CUT_BY, KINDS, samples_cut_by, samples_in, samples_of
from batteryscope.samples.coating import COATING
from batteryscope.samples.ct import CT
from batteryscope.samples.rows import ROWS
from batteryscope.samples.sem import SEM
from tests.conftest import ROOT

STUDIES = {
    "cathode_state": (SEM, CLASSES),
    "additive_transfer": (SEM, CLASSES),
    "cell_health": (CT, CLASSES),
    "rate_capability": (COATING, QUANTITIES),
    "electrode_manufacturing": (ROWS, QUANTITIES),
    "gdl_tortuosity": (ROWS, QUANTITIES),
}
BUNDLES = ROOT / "tests" / "fixtures" / "bundles"


def dataset(**more: object) -> DatasetSettings:
    return DatasetSettings.model_validate({"name": "x", "path": "x", "labels": {}} | more)


@pytest.mark.parametrize("name", STUDIES)
def test_settings_tell_samples_and_answer(name: str) -> None:
    study = load_project(ROOT / "params.yaml").studies[name]
    samples, answer = STUDIES[name]
    assert (samples_of(study), answer_of(study.dataset)) == (samples, answer)
    layout = lay_out_study(Path("work") / name, name, study)
    assert (layout.samples, layout.answer) == (samples, answer)
    assert layout.modules.compare == answer.modules[samples.learnt_from].compare
    assert layout.modules.ingest == samples.modules.ingest


def test_a_manifest_tells_its_samples() -> None:
    labels = {"pattern": "(?P<state>.+)", "columns": ["state"]}
    for settings in (dataset(labels=labels), dataset(labels=labels, volumes={})):
        assert samples_in(list_columns(settings) or []) == samples_of(settings)
    assert samples_in(["slice"]) is SEM  # one column alone is a label


def test_every_method_of_preprocessing_cuts_some_samples() -> None:
    methods = {
        kind.model_fields["method"].default for kind in get_args(get_args(PreprocessSettings)[0])
    }
    assert set(CUT_BY) == methods
    for samples in (SEM, COATING, CT):
        for method in methods:
            fits = CUT_BY[method].are_files == samples.are_files
            assert (samples.explain_misfit(CUT_BY[method], method, "a") == "") == fits


def test_every_monitor_belongs_to_some_answer() -> None:
    monitors = {name for answer in ANSWERS for name in answer.monitors}
    assert monitors == set(get_args(TrainSettings.model_fields["monitor"].annotation))


def test_every_baseline_of_classes_can_be_had_of_some_samples() -> None:
    offered = {need for samples in KINDS for need in samples.offers} | {"covariates"}
    assert all(baseline.needs <= offered for baseline in OF_CLASSES.values())


@pytest.mark.parametrize(
    ("group", "pattern", "unit"),
    [
        ("auto", "(?P<specimen_id>.+)", "specimen"),
        ("auto", "(?P<session_id>.+)", "session"),
        ("auto", "(?P<state>.+)", "image"),
        ("session", "(?P<specimen_id>.+)", "image"),
    ],
)
def test_a_split_keeps_together_what_folders_name(group: str, pattern: str, unit: str) -> None:
    named = dataset(labels={"pattern": f"(?P<class>[^/]+)/{pattern}"})
    assert SEM.find_unit(named, group) == unit
    assert CT.find_unit(named, group) == "cell"
    assert CT.find_unit(named, "slice") == "slice"


@pytest.mark.parametrize(
    ("folder", "answer", "learnt_from"),
    [
        ("capacities", QUANTITIES, "tiles"),
        ("classes_of_images", CLASSES, "tiles"),
        ("classes_of_scans", CLASSES, "tiles"),
        ("tables", QUANTITIES, "rows"),
    ],
)
def test_old_bundles_tell_their_answer(folder: str, answer: Answer, learnt_from: str) -> None:
    bundle = BUNDLES / folder / "bundle"
    assert find_kind(bundle) == (answer.bundles[learnt_from], answer.modules[learnt_from])
    assert read_any_record(bundle).samples.learnt_from == learnt_from


def test_what_is_no_bundle_goes_to_the_reader_that_says_so(tmp_path: Path) -> None:
    assert find_kind(tmp_path)[1] is CLASSES.modules["tiles"]
    (tmp_path / "bundle.json").write_text("[]")
    assert find_kind(tmp_path)[1] is CLASSES.modules["tiles"]
    assert bundle_called("capacity") == bundle_called("quantities")
    # No two readers claim one kind.
    kinds = [name for a in ANSWERS for known in a.bundles.values() for name in known.names]
    assert len(set(kinds)) == len(kinds) > 3
    for reader, kind in (("classes_of_images", "table"), ("tables", "numbers")):
        values = json.loads((BUNDLES / reader / "bundle" / "bundle.json").read_text())
        (tmp_path / "bundle.json").write_text(json.dumps(values | {"kind": kind}))
        read = import_module(find_kind(BUNDLES / reader / "bundle")[0].record).read_record
        with pytest.raises(InputError, match=f"its kind is '{kind}'"):
            read(tmp_path)


def test_pictures_are_what_nothing_else_claims() -> None:
    study = load_project(ROOT / "params.yaml").studies["rate_capability"]
    assert samples_cut_by(study.preprocess) is COATING
    own = study.dataset.model_copy(update={"path": "mine"})
    assert samples_of(own) is SEM  # a data set alone does not say what its pictures show
    assert samples_of(study.model_copy(update={"dataset": own})) is COATING
