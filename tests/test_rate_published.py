"""From trained models to a bundle that predicts, maps that explain, and a report that tells."""

import json

import numpy as np
import optuna
import pandas as pd
import pytest
from PIL import Image

from batteryscope.answers.quantities import QUANTITIES
from batteryscope.bundle.number_write import write_number_bundle
from batteryscope.bundle.open import find_kind, open_bundle
from batteryscope.bundle.predict_program import main as predict_images
from batteryscope.bundle.record import BundleSettings
from batteryscope.config.evaluate import EvaluateSettings
from batteryscope.config.physics import HalfCellSettings
from batteryscope.config.search import SearchSettings
from batteryscope.config.study import StudySettings
from batteryscope.config.targets import CapacityTargets
from batteryscope.errors import InputError
from batteryscope.evaluation.number_points import SCORER
from batteryscope.evaluation.number_study import compare_study
from batteryscope.evaluation.sweep_points import summarise_epochs, tabulate_points
from batteryscope.evaluation.sweep_scores import PointInputs
from batteryscope.evaluation.train_tiles import write_fit_predictions
from batteryscope.explain.number_study import explain_study
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.preprocess.cut_dataset import cut_dataset
from batteryscope.provenance import digest_file
from batteryscope.report.number_evidence import collect_number_evidence
from batteryscope.report.number_report import write_number_report
from batteryscope.search.candidate import train_candidate
from batteryscope.search.plan_search import plan_search
from batteryscope.search.queue import SLOT
from batteryscope.search.sampling import find_direction
from batteryscope.search.stage_candidate import StageTrainer, keep_seen_part
from batteryscope.tilestore import TileStore
from batteryscope.training.stage import plan_fits, train_stage
from tests.rate_study import TARGETS, make_study
from tests.test_rate_preprocess import draw_bands
from workflow_scripts import evaluate_arms, evaluate_external


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Every piece of a small study: images, tiles, fits, comparison, maps."""
    root = tmp_path_factory.mktemp("rate")
    study = make_study()
    rows = []
    for i, name in enumerate(("50", "30", "20")):
        for k in range(4):
            path = root / "images" / f"p{name}_e{k}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = np.roll(draw_bands(0.3 * k), 7 * i + k, axis=1)
            Image.fromarray(pixels).save(path)
            sha = digest_file(path)
            rows.append(
                {
                    "sample_id": sha[:16], "path": path.name, "sha256": sha, "class": name,
                    "porosity": name, "specimen_id": f"p{name}_e{k}", "session_id": None,
                    "domain": "", "instrument": None, "width_px": 500, "height_px": 400,
                    TARGETS[0]: 140.0 + i, TARGETS[1]: 100.0 - 30 * i,
                }
            )  # fmt: skip
    manifest = pd.DataFrame(rows).sort_values("sample_id", ignore_index=True)
    manifest.to_parquet(root / "manifest.parquet")
    cut_dataset(manifest, root / "images", study.preprocess, root / "tiles", 10**7)
    number = manifest["specimen_id"].str[-1].astype(int)
    parts = []
    for fold in range(2):
        role = np.select([number == fold, number == fold + 1], ["test", "validation"], "train")
        part = pd.DataFrame({"sample_id": manifest["sample_id"], "role": role})
        parts.append(part.assign(repeat=0, fold=fold, group_id=manifest["sample_id"]))
    split = pd.concat(parts, ignore_index=True)
    (root / "split").mkdir()
    split.to_parquet(root / "split" / "split.parquet")
    store = TileStore.open(root / "tiles")
    stage = next(iter(plan_study("bands", study).stages.values())).settings
    train = store.index[store.index["kind"] == "random"].merge(split[split["role"] == "train"])
    balance = train.assign(copies=1, weight=1.0)
    names, tasks = plan_fits(
        stage, manifest, split, balance, store.index, store.tiles, [(0, 0), (0, 1)], "code"
    )
    assert names == TARGETS
    train_stage(stage, names, tasks, store.tiles, root / "state", root / "stage" / "part0")
    layout = lay_out((root, study, manifest), root / "work")
    arms = layout.describe_arms()
    for task in tasks:
        roles = split[split["fold"] == task.fold]
        write_fit_predictions(root / "stage" / "part0" / task.name, store, manifest, roles, "cpu")
    status = evaluate_arms.main(
        ["--by", QUANTITIES.modules["tiles"].evaluate, "--manifest", str(root / "manifest.parquet"),
         "--arms", json.dumps(arms), "--out", str(root / "predicted")]
    )  # fmt: skip
    assert status == 0
    compare_study(layout, root / "comparison")
    explain_study(layout, root / "explained")
    return root, study, manifest, arms


def test_all_arms_have_occlusion_where_it_is_asked_for(published, tmp_path):
    values = published[1].model_dump(mode="json") | {"arms": {"mass": {}, "other": {}}}
    quick = {"grad_ram", "guided_backprop"}
    for asked, own in (("published", quick), ("all", quick | {"occlusion"})):
        values["explain"] = {
            "window_px": 8, "integration_steps": 1, "tiles_per_class": 1, "occlusion_arms": asked,
        }  # fmt: skip
        settings, out = StudySettings.model_validate(values), tmp_path / asked
        explain_study(lay_out(published, tmp_path / f"work_{asked}", settings), out)
        with np.load(out / "other.npz") as other, np.load(out / "mass.npz") as mass:
            assert set(other) - {"tiles"} == own
            assert set(mass) - {"tiles"} == quick | {"occlusion", "integrated_gradients"}
            assert other["grad_ram"].shape == mass["occlusion"].shape
            if "occlusion" in own:
                np.testing.assert_array_equal(other["occlusion"], mass["occlusion"])


def bundle_bands(published, out, comparison=None):
    """Write the bundle of the study; return its record."""
    root, study, manifest, arms = published
    frames = pd.DataFrame({"sample_id": manifest["sample_id"], "pixel_digest": "x"})
    settings = BundleSettings(
        study="bands", arm="mass", title="Drawn bands", data_name="bands",
        label_columns=["porosity"], preprocess=study.preprocess, max_pixels=10**7, generated=False,
    )  # fmt: skip
    return write_number_bundle(
        out, settings, arms, ["mass"], manifest, frames, root / "images",
        comparison or root / "comparison",
    )  # fmt: skip


def lay_out(published, work, settings=None, **more):
    """Where the report finds the pieces of the study; ``more``: other folders by name."""
    root, study, manifest = published[:3]
    (root / "data").mkdir(exist_ok=True)
    manifest.to_parquet(root / "data" / "manifest.parquet")
    (root / "split" / "audit.json").write_text("{}")
    layout = PictureLayout(work, plan_study("bands", settings or study))
    places = {
        layout.comparison: root / "comparison", layout.data.root: root / "data",
        layout.main_tiles: root / "tiles", layout.main_split.root: root / "split",
        layout.predicted: root / "predicted", layout.explained: root / "explained",
        layout.stage(layout.plan.main.chains[-1]): root / "stage",
    } | {work / name: folder for name, folder in more.items()}  # fmt: skip
    for place, folder in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder)
    return layout


def test_bundle_predicts_its_example_and_says_what_is_wrong(published, tmp_path):
    root = published[0]
    out = tmp_path / "bundle"
    record = bundle_bands(published, out)
    assert [target.name for target in record.targets] == TARGETS
    assert find_kind(out)[0] is QUANTITIES.bundles["tiles"]
    card = (out / "MODEL_CARD.md").read_text()
    assert "## Limits" in card
    assert "of the average were not measured" in card
    intervals = pd.read_csv(root / "comparison" / "intervals.csv").set_index(["arm", "target"])
    for target in record.targets:  # six electrodes are too few for 90 %
        assert np.isinf(intervals.loc[(target.arm, target.name), "relative_half_width"])
        assert (target.relative_half_width, target.coverage_measured) == (None, None)
    assert "too few specimens" in card
    example = json.loads((out / "example_output.json").read_text())
    pictures = tmp_path / "new"
    pictures.mkdir()
    Image.fromarray(np.asarray(Image.open(out / "example_input.png"))).save(pictures / "a.png")
    Image.fromarray(draw_bands(bands=())).save(pictures / "b.png")
    both = draw_bands(bands=((300, 380),), coated=((100, 300), (380, 580)), shape=(700, 900))
    Image.fromarray(both).save(pictures / "both.png")
    table = tmp_path / "predictions.csv"
    status = predict_images(
        ["--bundle", str(out), "--images", str(pictures), "--out", str(table), "--device", "cpu"]
    )
    assert status == 0
    assert table.with_name(f"{table.stem}_over_c_rate.png").is_file()
    rows = pd.read_csv(table).set_index("file")
    for target in TARGETS:
        assert rows.loc["a.png", target] == pytest.approx(example[target], abs=1e-3)
        assert rows.loc["a.png", f"{target}_fold_sd"] >= 0
    assert rows.loc["b.png", "reason"].startswith("no_collector")
    assert "(when predicting: --collector)" in rows.loc["both.png", "reason"]
    assert pd.isna(rows.loc["both.png", "note"])  # though far larger than the training pictures
    for side in ("bottom", "top"):
        again = ["--bundle", str(out), "--images", str(pictures), "--out", str(table)]
        assert predict_images([*again, "--collector", side]) == 0
        assert pd.read_csv(table).set_index("file").loc["both.png", "status"] == "ok"
    described = out / "fold_mass_r0_f0.json"
    original = json.loads(described.read_text())
    for change, words in (
        ({"backbone_options": {"checkpoint_path": "/x"}}, "checkpoint_path.*not allowed"),
        ({"classes": ["capacity_2c_ah_kg", TARGETS[1]]}, f"does not predict {TARGETS[0]}"),
    ):
        described.write_text(json.dumps(original | change))
        with pytest.raises(InputError, match=words):
            open_bundle(out)
    described.write_text(json.dumps(original))
    (out / "fold_mass_r0_f0.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="fold_mass_r0_f0"):
        open_bundle(out)


def test_external_electrodes_are_judged_by_the_average_of_the_networks(published, tmp_path, capsys):
    study = published[1]
    bundle_bands(published, tmp_path / "bundle")
    rows = []
    for k, name in enumerate(("50", "20", "20")):
        path = tmp_path / "images" / f"p{name}_e{100 + k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.roll(draw_bands(0.2 + 0.1 * k), 31 + k, axis=1)).save(path)
        truth = {TARGETS[0]: 140.0, TARGETS[1]: 70.0}
        rows.append({"sample_id": f"{k}", "path": path.name, "class": name,
                     "specimen_id": path.stem, **truth})  # fmt: skip
    external = tmp_path / "external"
    external.mkdir()
    table = pd.DataFrame(rows)
    table.to_parquet(external / "manifest.parquet")
    words = [
        "--bundle", str(tmp_path / "bundle"), "--manifest", str(external / "manifest.parquet"),
        "--dataset", str(tmp_path / "images"), "--predictions", str(external / "predictions.csv"),
        "--metrics", str(external / "metrics.csv"), "--flat", str(external / "metrics.json"),
    ]  # fmt: skip
    assert evaluate_external.main(words) == 0
    alone = tmp_path / "alone.csv"
    predict_images(
        ["--bundle", str(tmp_path / "bundle"), "--images", str(tmp_path / "images"),
         "--out", str(alone), "--device", "cpu"]
    )  # fmt: skip
    theirs, ours = (
        pd.read_csv(path).sort_values("file") for path in (external / "predictions.csv", alone)
    )
    assert theirs[TARGETS].to_numpy() == pytest.approx(ours[TARGETS].to_numpy(), abs=1e-3)
    flat = json.loads((external / "metrics.json").read_text())
    assert flat[f"mass.external.image.{TARGETS[1]}.mape"] == pytest.approx(
        100 * (theirs[TARGETS[1]] / 70 - 1).abs().mean(), abs=1e-3
    )
    assert not any("coverage" in name for name in flat)  # too few electrodes for intervals

    tested = study.model_copy(update={"evaluate": EvaluateSettings(external=study.dataset)})
    layout = lay_out(published, tmp_path / "work", tested, external=external)
    page = write_number_report(collect_number_evidence(layout), tmp_path / "report").read_text()
    assert "New electrodes" in page
    assert "computed by the half-cell model" not in page
    elsewhere = study.dataset.model_copy(
        update={"targets": CapacityTargets(source="simulated", c_rates=[1, 5])}
    )
    for own, new, said in (
        (study.dataset, elsewhere, "computed by the half-cell model, not measured"),
        (elsewhere, study.dataset, "measured, while those of the training were computed"),
    ):
        changed = {"dataset": own, "evaluate": EvaluateSettings(external=new)}
        settings = study.model_copy(update=changed | {"physics": HalfCellSettings()})
        work = tmp_path / f"work_{said[:8]}"
        layout = lay_out(published, work, settings, external=external)
        evidence = collect_number_evidence(layout)
        text = write_number_report(evidence, tmp_path / "mixed").read_text()
        assert said in text[text.index('id="external"') :]
    assert "on 3 images of 3 electrodes (single networks on their own test images" in page
    merged = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert merged.items() >= flat.items()
    assert "mass.image.mape" in merged

    table.assign(specimen_id="p50_e0").to_parquet(external / "manifest.parquet")
    assert evaluate_external.main(words) == 1
    assert "'p50_e0' of the external data set was used to train" in capsys.readouterr().err


def test_computed_capacities_are_told_wherever_results_are(published, tmp_path):
    study = published[1]
    computed = study.model_dump(mode="json")
    computed["dataset"]["targets"]["source"] = "simulated"
    computed["physics"] = {"c_rates": [1, 5]}
    computed = StudySettings.model_validate(computed)
    grid = pd.DataFrame(
        [(p, rate, 150.0) for rate in (1.0, 5.0) for p in (0.1, 0.3, 0.4, 0.6)],
        columns=["porosity", "c_rate", "ah_kg"],
    )
    (tmp_path / "physics").mkdir()
    grid.to_csv(tmp_path / "physics" / "capacities.csv", index=False)
    beside = study.model_copy(update={"physics": computed.physics})
    for settings, name, has_row in ((computed, "computed", False), (beside, "beside", True)):
        work = tmp_path / f"compared_{name}"
        layout = lay_out(published, work, settings, physics=tmp_path / "physics")
        compare_study(layout, tmp_path / name)
        table = pd.read_csv(tmp_path / name / "comparison.csv")
        assert (table["arm"] == "physics").any() == has_row  # of its own labels: no row

    findings = json.loads((tmp_path / "computed" / "findings.json").read_text())
    assert [f["kind"] for f in findings].count("computed_labels") == 1
    assert findings[0]["kind"] == "computed_labels"
    assert "in the column 'porosity'" in findings[0]["text"]

    own = {"comparison": tmp_path / "computed"}
    layout = lay_out(published, tmp_path / "work_computed", computed, **own)
    page = write_number_report(collect_number_evidence(layout), tmp_path / "report").read_text()
    for said in (
        "Computed capacities.",
        "Capacities that nobody measured",
        "is left out",
        "The capacities were computed, not measured.",
        "circles are computed",
    ):
        assert said in page
    for unsaid in ("dotted lines", "measured capacities.", "the measured capacity"):
        assert unsaid not in page
    bundle_bands(published, tmp_path / "bundle", tmp_path / "computed")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert card.count("Nobody measured the capacities of this study") == 1
    assert card.index("Learnt from computed capacities") < card.index("## What it is")

    own = {"comparison": tmp_path / "beside"}
    layout = lay_out(published, tmp_path / "work_beside", beside, **own)
    page = write_number_report(collect_number_evidence(layout), tmp_path / "measured").read_text()
    assert "Computed capacities." not in page
    assert "circles are measured" in page
    assert "dotted lines simulated" in page


def test_a_search_minimises_the_error_of_validation_images_alone(published, tmp_path):
    root, study, manifest, _ = published
    space = {"train.penalty": ["l1", "l2"], "train.learning_rate": [0.01]}
    search = SearchSettings.model_validate({"space": space, "max_epochs": 2, "random": False})
    searched = plan_search(plan_study("bands", study.model_copy(update={"search": search})))
    split = pd.read_parquet(root / "split" / "split.parquet")
    store = TileStore.open(root / "tiles")
    data = keep_seen_part(manifest, split, store.index, store.tiles)
    assert len(data.tiles) == 9  # of the 12 images, 3 test in the first fold
    assert set(data.split["role"]) == {"train", "validation"}
    trials = optuna.create_study(direction=find_direction(searched.settings))
    trials.enqueue_trial({}, user_attrs={SLOT: 0})
    trial = trials.ask()
    trainer = StageTrainer(searched, data)
    value = train_candidate(trial, searched, trainer, tmp_path / "state")
    assert trials.direction.name == "MINIMIZE"
    assert value == pytest.approx(min(trials.trials[0].intermediate_values.values()))
    assert value > 0


def test_report_shows_errors_maps_and_findings(published, tmp_path):
    root, study, manifest, _ = published
    points = [
        {"sweep": "rate", "name": f"rate_{v}", "base": "mass", "arm": "mass",
         "values": {"train.learning_rate": v}} for v in (1, 2)
    ]  # fmt: skip
    predicted = root / "predicted" / "mass" / "predictions.parquet"
    inputs = PointInputs({"mass": predicted}, manifest, backbones={"mass": "rate_cnn"})
    histories = {"mass": [pd.read_csv(p) for p in root.glob("stage/part0/*/history.csv")]}
    (root / "sweeps").mkdir()
    tabulate_points(points, SCORER.score(inputs), summarise_epochs(histories)).to_csv(
        root / "sweeps" / "sweeps.csv", index=False
    )
    sweeps = {"sweeps": {"rate": {"train.learning_rate": [1, 2]}}, "run_sweeps": ["rate"]}
    swept = StudySettings.model_validate(study.model_dump(mode="json") | sweeps)
    layout = lay_out(published, tmp_path / "work", swept, **{"sweeps/comparison": root / "sweeps"})
    evidence = collect_number_evidence(layout, "abc1234")
    page = write_number_report(evidence, tmp_path / "report").read_text()
    for words in (
        "Beside what needs no network",
        "Does it need a network?",
        "Grad-RAM",
        "abc1234",
        'id="sweeps"',
    ):
        assert words in page
    for name in ("key_figure", "sweep_rate"):
        assert (tmp_path / "report" / "figures" / f"{name}.svg").is_file()
    assert "Steps from a picture to its crop" in page
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["numbers"]["mape"] > 0
