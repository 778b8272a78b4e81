"""Every setting is read by the code of a kind of study, or that kind says that it has no effect."""

import re
from dataclasses import asdict

import pytest

from batteryscope.answers.classes import CLASSES
from batteryscope.answers.kind import Answer
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.answers.study_modules import join_modules
from batteryscope.config.dataset import DatasetSettings, LabelSettings
from batteryscope.config.evaluate import EvaluateSettings, ExplainSettings
from batteryscope.config.learning import (
    AugmentSettings,
    BalanceSettings,
    ModelSettings,
    TrainSettings,
)
from batteryscope.config.preprocess import CoatingCropSettings, CtSlicesSettings, SemTilesSettings
from batteryscope.config.split import SplitSettings
from batteryscope.provenance import PROJECT_ROOT
from batteryscope.samples.coating import COATING
from batteryscope.samples.ct import CT
from batteryscope.samples.kind import Samples
from batteryscope.samples.sem import SEM
from tests.test_provenance import names_of

SECTIONS = {
    "dataset": DatasetSettings, "dataset.labels": LabelSettings, "split": SplitSettings,
    "balance": BalanceSettings, "augment": AugmentSettings, "model": ModelSettings,
    "train": TrainSettings, "evaluate": EvaluateSettings, "explain": ExplainSettings,
}  # fmt: skip
PREPROCESS = {"sem": SemTilesSettings, "ct": CtSlicesSettings, "coating": CoatingCropSettings}
# Read by other code than that of a kind of study.
READ_ELSEWHERE = {
    "train.threads",  # by the rules, which ask for so many cores
    "evaluate.learning_curve",  # by the study, which has more arms then
    "evaluate.paper_data",  # where overlays are merged
    "preprocess.unroll_angles",  # by the settings, which tell the shape of a tile
}
# Rooms that say or choose what is set, but do nothing by it.
NOT_READERS = ("config", "answers", "samples", "start")
QUANTITY = {"quantities": {"porosity": {"unit": "%"}}, "table": "q.csv", "sample_column": "file"}


def read_text(names: set[str], room: str = "") -> str:
    """The code and templates among these files, of one room or of all that use settings."""
    kept = [
        name
        for name in sorted(names)
        if name.endswith((".py", ".j2"))
        and name.startswith(f"batteryscope/{room}")
        and name.split("/")[1] not in NOT_READERS
    ]
    return "\n".join((PROJECT_ROOT / name).read_text(encoding="utf-8") for name in kept)


@pytest.mark.parametrize("answer", [CLASSES, QUANTITIES], ids=lambda a: a.name)
@pytest.mark.parametrize("samples", [SEM, CT, COATING], ids=lambda s: s.name)
def test_every_setting_is_read_or_named_useless(samples: Samples, answer: Answer) -> None:
    modules = join_modules(samples, answer)
    files = set().union(*(names_of(module) for module in asdict(modules).values() if module))
    files |= names_of("batteryscope.planning.job_inputs")
    # A name is enough where many places read a section; maps are made in one, which calls it so.
    read = set(re.findall(r"\.([a-z]\w+)", read_text(files)))
    explained = read_text(names_of(modules.explain), "explain/")
    read_of_maps = set(re.findall(r"(?:(?<=\bsettings\.)|(?<=\bexplain\.))([a-z]\w+)", explained))
    targets = {"targets": QUANTITY} if answer is QUANTITIES else {}
    dataset = DatasetSettings.model_validate(
        {"name": "own", "generator": {"kind": "trivial"}} | targets
    )
    useless = set(samples.useless) | set(answer.find_useless(dataset))
    for section, cls in (SECTIONS | {"preprocess": PREPROCESS[samples.name]}).items():
        known = read_of_maps if section == "explain" else read
        unread = {f"{section}.{key}" for key in cls.model_fields if key not in known}
        assert unread <= useless | READ_ELSEWHERE, section
    idle = {f"explain.{key}" for key in read_of_maps} & set(answer.find_useless(dataset))
    assert not idle, "the maps are made by what is said to have no effect"
    assert {name for name in useless if name.startswith("explain.")} <= {
        f"explain.{key}" for key in ExplainSettings.model_fields
    }
