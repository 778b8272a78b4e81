"""A sweep of two by two, with real (tiny) networks: trained, compared, reported, tracked."""

import json
import re

import pandas as pd
import pytest
import yaml

from batteryscope.answers.study_modules import COMPARE_SWEEPS, TRACK_SWEEPS
from batteryscope.config.project import load_project
from batteryscope.config.study import StudySettings
from batteryscope.plan import plan_study
from batteryscope.planning.layout import PictureLayout
from batteryscope.provenance import write_settings
from batteryscope.report.html import render_report
from batteryscope.report.pictures import draw_pictures
from batteryscope.report.write import collect_evidence
from batteryscope.samples.sem import SEM
from batteryscope.tracking.runs import list_runs
from batteryscope.tracking.store import find_experiment, open_client
from tests.small_params import small_params, small_study
from tests.tracking_study import copy_empty_store, load_script

STUDY = small_study(
    dataset={"generator": {"kind": "trivial", "classes": 2, "images_per_class": 8}},
    preprocess={"tiles_per_image": None, "tiles_per_class": 12, "input_px": 32},
    train={"epochs": 1},
    sweeps={"grid": {"preprocess.crop_px": [48, 64], "train.learning_rate": [1e-3, 5e-3]}},
    run_sweeps=["grid"],
)


class Workshop:
    """Runs the workflow's programs in this process, each piece of work once, as Snakemake would."""

    def __init__(self, root):
        self.root = root
        self.programs = {}
        self.done = []
        settings = StudySettings.model_validate(STUDY)
        self.settings, self.plan = settings, plan_study("check", settings)

    def call(self, program, *words):
        if program not in self.programs:
            self.programs[program] = load_script(program)
        assert self.programs[program].main([str(word) for word in words]) == 0
        self.done.append(program)

    def write(self, name, values):
        return write_settings(self.root / "settings", name, values)

    def run(self):
        root, plan = self.root, self.plan
        data = self.write("data", self.settings.dataset)
        generator = self.write("generator", self.settings.dataset.generator)
        self.call(
            "generate_dataset", "--settings", generator, "--workers", 1, "--out", root / "images"
        )
        manifest, frames = root / "manifest.parquet", root / "frames.parquet"
        self.call(
            "ingest_dataset", "--dataset", root / "images", "--settings", data, "--manifest",
            manifest, "--rejects", root / "rejects.csv", "--frames", frames,
            "--summary", root / "summary.json",
        )  # fmt: skip
        for name, settings in plan.tiles.items():
            self.call(
                "preprocess_images", "--manifest", manifest, "--dataset", root / "images",
                "--settings", self.write("tiles", settings), "--max-pixels", 10**8,
                "--split", self.write("split", plan.find_tile_split(name)),
                "--out", root / "tiles" / name,
            )  # fmt: skip
        for name, settings in plan.splits.items():
            self.call(
                "split_dataset", "--manifest", manifest, "--frames", frames,
                "--settings", self.write("split", settings),
                "--split", root / f"{name}.parquet", "--audit", root / "audit.json",
            )  # fmt: skip
        for chain, stage in plan.stages.items():
            tiles, folder = root / "tiles" / stage.tiles, root / "stages" / chain
            settings, split = self.write("stage", stage.settings), root / f"{stage.split}.parquet"
            self.call(
                "balance_stage", "--manifest", manifest, "--split", split, "--index",
                tiles / "index.parquet", "--settings", self.write("balance", stage.balance),
                "--out", folder / "b.parquet",
            )  # fmt: skip
            self.call(
                "train_stage", "--by", SEM.modules.train, "--settings", settings, "--manifest",
                manifest, "--split", split, "--balance", folder / "b.parquet", "--tiles", tiles,
                "--state", root / "state" / chain, "--out", folder / "part0", "--tracking-uri", "",
            )  # fmt: skip
        arms = {
            name: {
                "split": str(root / f"{arm.split}.parquet"),
                "fits": [str(root / "stages" / arm.chains[-1] / "part0")],
            }
            for name, arm in plan.every_arm.items()
        }
        self.call(
            "evaluate_arms", "--by", PictureLayout(root, plan).modules.evaluate, "--manifest",
            manifest, "--arms", json.dumps(arms), "--out", root / "predicted",
        )  # fmt: skip
        self.compare()

    def compare(self):
        root, plan = self.root, self.plan
        layout = PictureLayout(root, plan)
        pieces = {layout.data.manifest: root / "manifest.parquet"}
        pieces |= {layout.split(name).roles: root / f"{name}.parquet" for name in plan.splits}
        pieces |= {layout.arm(arm).root: root / "predicted" / arm for arm in plan.point_arms}
        for place, piece in pieces.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.symlink_to(piece)
        self.call(
            "compare_arms", "--by", COMPARE_SWEEPS, "--study", "check",
            "--settings", self.write("study", self.settings), "--work", root,
            "--out", root / "sweeps",
        )  # fmt: skip


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("sweep"))
    shop.run()
    return shop


def test_every_piece_of_work_is_done_once(workshop):
    # Of four points the main arm has one, and two crop sizes need two tile stores.
    assert workshop.done.count("preprocess_images") == 2
    assert workshop.done.count("split_dataset") == 1
    assert workshop.done.count("train_stage") == 4
    table = pd.read_csv(workshop.root / "sweeps/sweeps.csv")
    assert table["point"].nunique() == 4
    assert set(table.loc[table["point"] == "grid_64_0p005", "arm"]) == {"per_image"}
    assert (table["seconds_per_epoch"] > 0).all()
    metrics = json.loads((workshop.root / "sweeps/metrics.json").read_text())
    assert {key.split(".")[0] for key in metrics} == set(table["point"])
    assert 0 <= metrics["grid_48_0p001.image.accuracy"] <= 1


def test_report_shows_the_sweep(workshop, tmp_path):
    root = workshop.root
    comparison = pd.read_csv(root / "sweeps/sweeps.csv")
    main = comparison[comparison["arm"] == "per_image"]
    (root / "comparison").mkdir()
    main[
        ["arm", "backbone", "target", "domain", "level", "metric", "mean", "sd", "n", "paper"]
    ].to_csv(root / "comparison/comparison.csv", index=False)
    layout = PictureLayout(tmp_path, workshop.plan)
    layout.comparison.symlink_to(root / "comparison")
    layout.sweep_comparison.parent.mkdir()
    layout.sweep_comparison.symlink_to(root / "sweeps")
    evidence = collect_evidence(layout)
    pictures = draw_pictures(evidence, None)
    assert "sweep_grid" in pictures
    assert evidence.files["sweeps.csv"]
    page = render_report(evidence, None, pictures)
    assert 'id="sweeps"' in page
    assert re.search("<td[^>]*>48</td>", page)


def test_points_are_runs_with_their_swept_keys(workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri, root = copy_empty_store(tmp_path), workshop.root
    layout = PictureLayout(tmp_path, workshop.plan)
    for place, piece in (
        (layout.sweep_comparison, "sweeps"),
        (layout.data.summary, "summary.json"),
    ):
        place.parent.mkdir()
        place.symlink_to(root / piece)
    workshop.call(
        "track_study", "--study", "check", "--by", TRACK_SWEEPS, "--uri", uri, "--settings",
        workshop.write("study", workshop.settings), "--work", tmp_path,
        "--out", tmp_path / "tracked.json",
    )  # fmt: skip
    client = open_client(uri)
    runs = list_runs(client, find_experiment(client, uri, "check"))
    assert len(runs) == 4
    assert {run.data.tags["sweep"] for run in runs} == {"grid"}
    swept = {
        (r.data.params["preprocess.crop_px"], r.data.params["train.learning_rate"]) for r in runs
    }
    assert swept == {(c, r) for c in ("48", "64") for r in ("0.001", "0.005")}
    assert all("image/accuracy" in run.data.metrics for run in runs)


def test_settings_of_the_study_survive_the_way_to_the_programs(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params(check=STUDY)))
    study = load_project(tmp_path / "params.yaml").studies["check"]
    again = StudySettings.model_validate_json(study.model_dump_json())
    assert plan_study("check", again).points == plan_study("check", study).points
