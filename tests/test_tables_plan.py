from pathlib import Path

import numpy as np
import pytest

from batteryscope.config.project import load_project
from batteryscope.errors import InputError
from batteryscope.tables.networks import (
    NetworkStack,
    find_adapter_nodes,
    predict_rows,
)
from batteryscope.tables.plan_tasks import RoleKey, plan_tasks
from batteryscope.tables.predict_tasks import gather_histories, predict_tasks
from batteryscope.tables.row_order import order_rows
from batteryscope.tables.table_predictions import COLUMNS, check_table_predictions
from batteryscope.tables.train_stack import train_tasks
from tests.studies import table_studies
from tests.table_networks import make_manifest, make_settings, split_in_order

FEATURES = ["gap", "speed", "solids"]
ABLATIONS = {"source_rows": [10, 20, 999], "target_rows": [6, 12], "test_fractions": [0.5]}


def make_plan(**changes):
    settings, manifest = make_settings(**changes), make_manifest()
    split = split_in_order(manifest, settings.split, FEATURES)
    return plan_tasks(manifest, split, settings, split_in_order)


@pytest.fixture(scope="module")
def plan():
    return make_plan(ablations=ABLATIONS)


def take_task(plan, name):
    return next(task for task in plan.tasks if task.name == name)


def test_study_has_a_source_network_and_all_arms_of_the_other_domains():
    plan = make_plan()
    counts = plan.table.groupby(["arm", "domain"]).size()
    assert counts.pop(("source", "graphite")) == 4  # 2 targets, 2 repeats
    arms = ("adapter", "fine_tuning", "pretrained", "scratch")
    assert list(counts.index) == [
        (arm, domain) for arm in arms for domain in ("nmc", "si_graphite")
    ]
    assert (counts == 4).all()
    assert len(plan.tasks) == 4 * (1 + 2 * 3)
    assert len({task.name for task in plan.tasks}) == len(plan.tasks)


def test_ablations_change_one_thing_each(plan):
    counts = plan.table.groupby(["ablation", "value", "arm"]).size().to_dict()
    source_rows = {"source": 4, "pretrained": 8, "adapter": 8}
    target_rows = {"adapter": 8, "scratch": 8}
    full = dict.fromkeys(("adapter", "fine_tuning", "pretrained", "scratch"), 8) | {"source": 4}
    expected = {("source_rows", n, arm): c for n in (10, 20) for arm, c in source_rows.items()}
    # Si-graphite has 20 - 6 - 3 = 11 training rows: 12 of them are no ablation.
    expected |= {("target_rows", 6, arm): c for arm, c in target_rows.items()}
    expected |= {("target_rows", 12, arm): c // 2 for arm, c in target_rows.items()}
    expected |= {("test_fraction", 0.5, arm): c for arm, c in full.items()}
    assert counts == expected


def test_fewer_rows_are_the_first_of_the_common_order(plan):
    ids = plan.samples[RoleKey(None, 1, 0, "graphite", "train")]
    order = order_rows(ids, 1, 1)
    for n in (10, 20):
        task = take_task(plan, f"density/graphite/source/r1_f0/source_rows={n}")
        assert list(task.train.sample_ids) == order[:n]
    whole = take_task(plan, "density/graphite/source/r1_f0")
    assert list(whole.train.sample_ids) == ids
    assert task.validation.sample_ids == whole.validation.sample_ids


def test_parents_are_the_source_networks_of_the_same_repeat(plan):
    for name, parent in {
        "loading/nmc/adapter/r1_f0": "loading/graphite/source/r1_f0",
        "loading/nmc/fine_tuning/r0_f0": "loading/graphite/source/r0_f0",
        "loading/nmc/scratch/r0_f0": None,
        "density/nmc/adapter/r0_f0/target_rows=6": "density/graphite/source/r0_f0",
        "density/nmc/adapter/r0_f0/source_rows=10": "density/graphite/source/r0_f0/source_rows=10",
        "density/nmc/adapter/r1_f0/test_fraction=0.5": (
            "density/graphite/source/r1_f0/test_fraction=0.5"
        ),
    }.items():
        assert take_task(plan, name).parent == parent


def test_rows_are_those_of_the_manifest_in_the_order_of_the_features(plan):
    rows = take_task(plan, "loading/nmc/adapter/r0_f0").train
    manifest = make_manifest().set_index("sample_id").loc[list(rows.sample_ids)]
    assert set(manifest["domain"]) == {"nmc"}
    assert np.array_equal(rows.features, manifest[FEATURES])
    assert np.array_equal(rows.targets, manifest["loading"])


def test_arms_of_the_settings_only():
    plan = make_plan(arms=["adapter"], ablations=ABLATIONS)
    assert set(plan.table["arm"]) == {"source", "adapter"}


def test_source_domain_without_rows_is_named():
    settings, manifest = make_settings(), make_manifest()
    manifest = manifest[manifest["domain"] != "graphite"]
    split = split_in_order(manifest, settings.split, FEATURES)
    with pytest.raises(InputError, match=r"found 'graphite'.*expected one of nmc, si_graphite"):
        plan_tasks(manifest, split, settings, split_in_order)


def test_predictions_of_validation_and_test_rows_and_histories(plan):
    settings, manifest = make_settings(), make_manifest()
    trained = train_tasks(plan.tasks, settings.train, seed=1)
    predictions = predict_tasks(plan, trained, manifest, FEATURES)
    assert list(predictions.columns) == COLUMNS
    check_table_predictions(predictions, ["density", "loading"])
    assert not predictions.duplicated(COLUMNS[:9]).any()
    assert set(predictions["role"]) == {"validation", "test"}
    sizes = predictions[(predictions["role"] == "test") & (predictions["target"] == "density")]
    sizes = sizes[(sizes["arm"] == "pretrained") & (sizes["repeat"] == 0)]
    sizes = sizes.groupby(["domain", "ablation", "value"], dropna=False).size()
    assert sizes["nmc", ""].item() == 7
    assert sizes["nmc", "test_fraction"].item() == 12

    # The source network as it is, in a domain that it has not seen.
    unseen = predictions[(predictions["arm"] == "pretrained") & (predictions["ablation"] == "")]
    unseen = unseen[(unseen["domain"] == "nmc") & (unseen["target"] == "loading")]
    unseen = unseen[unseen["repeat"] == 1]
    rows = manifest.set_index("sample_id").loc[unseen["sample_id"]]
    network = trained["loading/graphite/source/r1_f0"].network
    np.testing.assert_allclose(unseen["y_pred"], predict_rows(network, rows[FEATURES].to_numpy()))
    assert np.array_equal(unseen["y_true"], rows["loading"])

    histories = gather_histories(plan, trained)
    assert len(histories) == len(plan.tasks) * settings.train.epochs
    assert "pretrained" not in set(histories["arm"])
    best = histories.groupby("task")["validation_mape"].min()
    for name, result in trained.items():
        assert best[name] == result.validation_mape[result.best_epoch - 1]


def test_the_studies_have_the_networks_of_the_paper():
    """93, 49 and 46 weights; adapters of 13, 10 and 10 (Fernandez et al. 2025)."""
    studies = table_studies(load_project(Path("params.yaml")))
    counts = {}
    for study in studies.values():
        for target, network in study.networks.items():
            shape = (1, len(study.dataset.features), network.hidden_layers, network.nodes)
            adapter = (1, 1, 1, find_adapter_nodes(network))
            counts[target] = tuple(
                sum(weights.numel() for weights in NetworkStack(*one).parameters())
                for one in (shape, adapter)
            )
    assert counts == {
        "density_g_cm3": (93, 13),
        "mass_loading_mg_cm2": (49, 10),
        "geometric_tortuosity": (46, 10),
    }


def test_networks_do_not_learn_from_a_target_of_zero():
    """A row of a domain that is transferred to, of which the source network learns nothing."""
    settings, manifest = make_settings(arms=["pretrained", "adapter"]), make_manifest()
    files = "data/" + manifest["domain"] + ".csv"
    manifest = manifest.assign(path=files, row=manifest.groupby("domain").cumcount() + 2)
    split = split_in_order(manifest, settings.split, FEATURES)
    learnt = split["role"].eq("train").groupby(split["sample_id"]).all()
    row = manifest.index[manifest["domain"].eq("nmc") & manifest["sample_id"].map(learnt)][0]
    manifest.loc[row, "density"] = 0.0
    told = f"'density' is 0 in data/nmc.csv, line {manifest.loc[row, 'row']}; networks"
    with pytest.raises(InputError, match=f"arms: found pretrained, adapter, .*{told}.*arms: "):
        plan_tasks(manifest, split, settings, split_in_order)
    arms = ["pretrained", "transfer_process"]
    allowed = make_settings(arms=arms, main_arm="transfer_process")
    tasks = plan_tasks(manifest, split, allowed, split_in_order).tasks
    assert {task.kind for task in tasks} == {"scratch", "process"}
