"""Where the pieces of a study lie: one place knows it, and finished work is found again."""

from pathlib import Path

import pytest
import yaml

from batteryscope.config.project import load_project
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout, RowLayout
from batteryscope.planning.plan_table_sweeps import plan_table_sweeps
from batteryscope.planning.study_layout import StudyLayout
from tests.conftest import ROOT
from tests.studies import image_studies
from tests.table_study import make_study

ROOT_OF_STUDY = Path("work/a")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    path = tmp_path_factory.mktemp("project") / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return load_project(path)


def lay_out(project, name: str) -> PictureLayout:
    return PictureLayout(ROOT_OF_STUDY, plan_study(name, project.studies[name]))


def test_a_layout_of_patterns_gives_the_patterns_of_rules() -> None:
    layout = StudyLayout(Path("work/{study}"))
    assert layout.dataset("{source}").manifest == Path("work/{study}/{source}/manifest.parquet")
    assert layout.stage_part("{chain}", "{part}") == Path("work/{study}/stages/{chain}/part{part}")
    assert layout.split("{split}").audit == Path("work/{study}/splits/{split}/audit.json")
    assert layout.split().roles == Path("work/{study}/splits/split.parquet")


def test_arms_of_classes_and_of_capacities_lie_in_the_same_places(project) -> None:
    classes, capacities = lay_out(project, "cathode_state"), lay_out(project, "rate_capability")
    arm = classes.plan.main.name
    assert classes.arm(arm).predictions == ROOT_OF_STUDY / f"predicted/{arm}/predictions.parquet"
    assert classes.maps(arm) == ROOT_OF_STUDY / "explained" / arm
    arm = capacities.plan.main.name
    assert capacities.arm(arm).cost == ROOT_OF_STUDY / f"predicted/{arm}/cost.json"
    assert capacities.list_predictions() == classes.list_predictions() == [capacities.predicted]
    assert capacities.simulated == ROOT_OF_STUDY / "physics/capacities.csv"
    assert classes.simulated is None


def test_a_study_without_a_piece_has_no_place_for_it(project) -> None:
    name, study = next(
        (n, s) for n, s in image_studies(project).items() if s.evaluate.external is not None
    )
    assert lay_out(project, name).external is not None
    alone = study.model_copy(
        update={"evaluate": study.evaluate.model_copy(update={"external": None})}
    )
    assert PictureLayout(ROOT_OF_STUDY, plan_study(name, alone)).external is None
    assert lay_out(project, name).sweeps is None  # none is run unless asked for


def test_pictures_of_the_user_stay_where_they_are(project) -> None:
    study = project.studies["cathode_state"]
    own = study.model_copy(
        update={"dataset": study.dataset.model_copy(update={"path": "data/raw/sem"})}
    )
    plan = plan_study("cathode_state", own)
    assert PictureLayout(ROOT_OF_STUDY, plan).find_dataset() == Path("data/raw/sem")
    generated = study.model_copy(
        update={"dataset": study.dataset.model_copy(update={"path": None})}
    )
    plan = plan_study("cathode_state", generated)
    assert PictureLayout(ROOT_OF_STUDY, plan).find_dataset() == ROOT_OF_STUDY / "data/images"


def test_points_of_rows_have_networks_of_their_own_or_those_of_the_study() -> None:
    values = make_study().model_dump(mode="json")
    values["sweeps"] = {
        "nodes": {"networks.nodes": [4, 6]},
        "ratio": {"split.test_fraction": [0.5]},
    }
    values["run_sweeps"] = ["nodes", "ratio"]
    plan = plan_table_sweeps("tables", type(make_study()).model_validate(values))
    layout = RowLayout(ROOT_OF_STUDY, plan)
    assert layout.sweeps == ROOT_OF_STUDY / "sweeps/comparison"
    assert layout.arm("nodes_6").predictions == (
        ROOT_OF_STUDY / "sweeps/networks/nodes_6/predictions.parquet"
    )
    assert layout.arm("adapter").root == ROOT_OF_STUDY / "networks"
    assert layout.point_split("nodes_6").roles == ROOT_OF_STUDY / "splits/split.parquet"
    assert layout.point_split("ratio_0p5").roles.parts[2:4] == ("sweeps", "splits")


def test_no_rule_spells_a_path_of_a_study() -> None:
    texts = [*sorted((ROOT / "rules").glob("*.smk")), ROOT / "Snakefile"]
    lines = [line for file in texts for line in file.read_text(encoding="utf-8").splitlines()]
    spelt = [line.strip() for line in lines if '"work/{' in line or "/work/" in line]
    assert spelt == ['WORK = StudyLayout(Path("work/{study}"))']
