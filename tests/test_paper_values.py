"""Published values of external sets, experts, specificity, ranges and orders beside ours."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from batteryscope.config.evaluate import (
    PaperClass,
    PaperDistribution,
    PaperOrder,
    PaperRange,
    PaperValue,
)
from batteryscope.config.project import load_project
from batteryscope.errors import ConfigError
from batteryscope.evaluation.paper_values import add_paper_values
from batteryscope.plan import plan_study
from batteryscope.report.class_tables import show_classes
from batteryscope.report.headline import Headline
from batteryscope.report.number_paper_tables import list_errors, show_paper_ranges
from batteryscope.report.results import show_paper
from batteryscope.report.row_input_tables import show_paper_distributions
from batteryscope.report.shown_table import ShownTable
from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_results import say_adapter, show_orders

PARAMS = Path(__file__).parent.parent / "params.yaml"


def as_dicts(table: ShownTable | None) -> list[dict[str, str]]:
    assert table is not None
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def make_comparison(**columns: object) -> pd.DataFrame:
    place = {"arm": "raw", "target": "", "domain": "", "level": "tile", "metric": "accuracy"}
    return pd.DataFrame([{**place, "mean": 0.9, "sd": np.nan, "n": 8, "paper": np.nan} | columns])


def make_evidence(paper: list[PaperValue], **tables: pd.DataFrame) -> SimpleNamespace:
    known = {"external": None, "survey": None, "class_measures": None}
    return SimpleNamespace(
        **(known | tables),
        comparison=make_comparison(),
        settings=SimpleNamespace(evaluate=SimpleNamespace(paper=paper)),
        main_arm="raw",
        generated=False,
        label_of=str,
    )


def test_external_set_and_experts_stand_beside_the_papers():
    paper = [
        PaperValue(metric="accuracy", level="external", value=0.3417),
        PaperValue(metric="accuracy", level="external", target="composition", value=0.96),
        PaperValue(metric="accuracy", level="external", group="622_formation", value=0.91),
        PaperValue(metric="accuracy", level="expert", group="best", value=0.684),
    ]
    external = pd.DataFrame(
        {
            "group": ["", "", "622_formation"],
            "target": ["", "composition", ""],
            "accuracy": [0.5, 0.75, 1.0],
            "n": [8, 8, 2],
        }
    )
    survey = pd.DataFrame(
        {"who": ["a", "b"], "kind": ["expert", "best"], "accuracy": [0.2, 0.4], "n": [5, 5]}
    )
    rows = as_dicts(show_paper(make_evidence(paper, external=external, survey=survey)))
    assert [(r["paper"], r["here"]) for r in rows] == [
        ("34.2 %", "50.0 %"), ("96.0 %", "75.0 %"), ("91.0 %", "100.0 %"), ("68.4 %", "40.0 %")
    ]  # fmt: skip
    assert rows[2]["quantity"].endswith("per image of the external set, 622_formation")
    unasked = as_dicts(show_paper(make_evidence(paper)))
    assert {r["here"] for r in unasked} == {"not measured"}


def test_specificity_is_that_of_the_table_of_measures():
    value = PaperValue(metric="macro_specificity", level="slice", value=0.9892)
    measures = pd.DataFrame(
        {
            "arm": "raw",
            "level": "slice",
            "class": ["a", "b", "(overall)"],
            "tp": [3, 2, None],
            "fn": [1, 2, None],
            "specificity": [0.5, 1.0, 0.75],
        }
    )
    [row] = as_dicts(show_paper(make_evidence([value], class_measures=measures)))
    assert (row["paper"], row["here"], row["n here"]) == ("98.9 %", "75.0 %", "8")


def test_values_of_other_images_get_no_row_in_the_comparison():
    told = [PaperValue(metric="accuracy", level="external", value=0.3417)]
    assert len(add_paper_values(make_comparison(), told, ["raw"])) == 1
    told = [PaperValue(metric="accuracy", level="image", value=0.5)]
    assert len(add_paper_values(make_comparison(), told, ["raw"])) == 2


def test_a_value_stands_beside_its_arm_or_beside_every_model():
    arms = ["raw", "baseline_grey_levels"]
    table = pd.concat([make_comparison(arm=arm) for arm in arms], ignore_index=True)
    for named, beside in (("", "raw"), (arms[1], arms[1])):
        value = PaperValue(metric="accuracy", value=0.5, arm=named)
        told = add_paper_values(table.copy(), [value], ["raw"]).set_index("arm")["paper"]
        assert told.dropna().to_dict() == {beside: 0.5}


def test_a_group_without_effect_is_refused():
    with pytest.raises(ValidationError, match="group 'a' has no effect with level 'tile'"):
        PaperValue(metric="accuracy", value=0.5, group="a")


def test_specificity_of_a_class_stands_in_its_table():
    rows = pd.DataFrame(
        {"arm": "raw", "level": "slice", "class": ["a", "b"], "recall": 0.5, "support": 4, "n": 4}
    )
    told = [PaperClass(arm="raw", class_name="a", specificity=0.98)]
    evidence = SimpleNamespace(
        per_class=rows,
        settings=SimpleNamespace(arms={"raw": None}, evaluate=SimpleNamespace(paper_classes=told)),
        shown_arms=["raw"],
        label_of=str,
    )
    headline = Headline.__new__(Headline)
    object.__setattr__(headline, "arm", "raw")
    object.__setattr__(headline, "level", "slice")
    [table] = show_classes(evidence, headline)
    assert [row["paper: specificity"] for row in as_dicts(table)][:2] == ["98 %", "–"]


@pytest.fixture(scope="module")
def project():
    return load_project(PARAMS, {"scale": "paper"})


def test_ranges_are_those_of_the_same_cells(project):
    plan = plan_study("rate_capability", project.studies["rate_capability"])
    cells = [
        ("volume", "", "", 1.0, 4.0),
        ("l1", "", "", 3.0, 5.0),
        ("l2_noise_3", "", "", 2.0, 6.0),
        ("mass", "", "", 9.0, 9.0),
        ("volume", "capacity_1c_ah_l", "", 1.5, 0.1),
        ("volume", "capacity_5c_ah_l", "", 8.0, 0.1),
        ("volume", "capacity_5c_ah_l", "20", 20.0, 0.1),
        ("volume", "", "20", 7.0, 0.1),
        ("volume", "", "50", 0.5, 0.1),
    ]
    rows = [
        {
            "arm": arm,
            "target": target,
            "domain": domain,
            "level": "image",
            "metric": metric,
            "mean": v,
        }
        for arm, target, domain, *values in cells
        for metric, v in zip(("mape", "mae"), values, strict=True)
    ]
    evidence = SimpleNamespace(
        comparison=pd.DataFrame(rows), plan=plan, settings=plan.settings, label=str
    )
    shown = {(r["error"], r["over"]): r for r in as_dicts(show_paper_ranges(evidence))}
    here = {over: row["here"] for (error, over), row in shown.items() if error.endswith("volume")}
    assert here == {
        "C-rates": "1.50 to 8.00",
        "porosities": "0.50 to 7.00",
        "pairs of C-rate and porosity": "20.00 to 20.00",
        "penalties and noise": "4.00 to 6.00",
    }
    asked = PaperRange(metric="mape", arm="volume", over="training", low=1, high=2)
    assert sorted(list_errors(evidence, asked)) == [1, 2, 3]
    with pytest.raises(ValidationError, match="low 3 is more than high 2"):
        PaperRange(metric="mape", arm="volume", over="both", low=3, high=2)


def make_table_evidence(project, errors: dict[str, float]) -> TableEvidence:
    settings = project.studies["electrode_manufacturing"]
    rows = [
        {"arm": arm, "backbone": "", "target": target, "domain": domain, "level": "row",
         "metric": "mape", "mean": error, "sd": 0.1, "n": 9, "paper": np.nan}
        for arm, error in errors.items()
        for target in settings.dataset.targets
        for domain in ("si_graphite", "nmc")
    ]  # fmt: skip
    return TableEvidence("s", settings, True, pd.DataFrame(rows))


def test_the_adapter_is_told_to_lose(project):
    losing = make_table_evidence(project, {"adapter": 9.0, "scratch": 5.0, "fine_tuning": 10.0})
    assert say_adapter(losing).startswith(
        "The adapter of the paper errs more than training from scratch in 4 of 4 and more than "
        "fine-tuning in 0 of 4 cases"
    )
    assert say_adapter(make_table_evidence(project, {"transfer_process": 1.0})) == ""


def test_orders_of_features_stand_side_by_side(project):
    evidence = make_table_evidence(project, {"transfer_process": 1.0})
    sizes = {"comma_gap_um": 0.3, "roll_gap_um": 0.2, "active_material_wt_percent": 0.1}
    values = pd.DataFrame(
        {
            "arm": "transfer_process",
            "target": "density_g_cm3",
            "domain": "nmc",
            "feature": list(sizes),
            "shap_value": list(sizes.values()),
        }
    )
    object.__setattr__(evidence, "shap_values", values)
    [row] = as_dicts(show_orders(evidence))
    assert (row["of"], row["verdict"]) == ("density, NMC", "the same")
    assert row["paper's order"] == row["order here"] == "comma gap, roll gap, active material"
    values["shap_value"] = [0.1, 0.2, 0.3]
    [row] = as_dicts(show_orders(evidence))
    assert (row["verdict"], row["order here"]) == (
        "contradicts: comma gap is number 3 of 3 here, number 1 there",
        "active material, roll gap, comma gap",
    )
    order = PaperOrder(target="density_g_cm3", domain="nmc", features=["a", "b"])
    wrong = {"evaluate": {"paper_orders": [order.model_dump()]}}
    with pytest.raises(ConfigError, match="paper_orders names 'a', which is no target or feature"):
        load_project(PARAMS, {"studies": {"electrode_manufacturing": wrong}})


def test_distributions_of_targets_stand_beside_the_papers():
    project = load_project(PARAMS)
    settings = project.studies["gdl_tortuosity"]
    told = {d.domain: (d.mean, d.low, d.high) for d in settings.evaluate.paper_distributions}
    assert told == {"gdl200": (1.07, 1.03, 1.17), "gdl1000": (1.09, 1.08, 1.17)}
    manifest = pd.DataFrame(
        {"domain": ["gdl200"] * 3, "geometric_tortuosity": [1.02, 1.05, 1.17], "sample_id": "s"}
    )
    evidence = TableEvidence("s", settings, True, pd.DataFrame(), manifest=manifest)
    [row] = as_dicts(show_paper_distributions(evidence))
    assert (row["mean, paper"], row["mean, here"], row["rows here"]) == ("1.07", "1.08", "3")
    assert (row["lowest, here"], row["highest, paper"]) == ("1.02", "1.17")
    wrong = {"target": "porosity", "domain": "gdl200", "mean": 1, "low": 1, "high": 1}
    asked = {"evaluate": {"paper_distributions": [wrong]}}
    with pytest.raises(ConfigError, match="names 'porosity', which is no target"):
        load_project(PARAMS, {"studies": {"gdl_tortuosity": asked}})
    with pytest.raises(ValidationError, match="not in this order"):
        PaperDistribution(target="a", domain="b", mean=2, low=1, high=1.5)
