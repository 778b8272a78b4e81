"""What goes wrong for users: one clear sentence each, and never a traceback.

A bad file among good ones is listed with a reason and the run goes on; anything else
stops the run, and its sentence stands at the end of Snakemake's output.
"""

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pandas as pd
import pytest
import tifffile
from PIL import Image

from batteryscope.config.picture_generators import CheckSetGenerator
from batteryscope.demo.check_sets import name_class, render_check_picture
from batteryscope.workflow.fork_client import ADDRESS
from tests.bundled_study import bundle_study, make_study
from tests.conftest import Sandbox
from tests.small_params import small_params, small_study

pytestmark = pytest.mark.workflow
CLASSES, IMAGES_PER_CLASS = 3, 4
BOMB_EDGE_PX = 30_000
MANIFEST = "work/check/data/manifest.parquet"
REASONS = {
    "class_a/notes.jpg": "unreadable",
    "class_b/cut.tif": "truncated",
    "class_c/bomb.png": "too_large",
}
# A disk of its own for this one process, which takes it along when it ends.
ON_A_SMALL_DISK = ("unshare", "--mount", "--map-root-user", "sh", "-c")
MOUNT = "mount -t tmpfs -o size={size} tmpfs {folder}"


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Sandbox:
    """A project with data sets of the user's own: one good, the others each with a flaw."""
    box = make_sandbox(params())
    draw_pictures(box.root / "good")
    for name in ("bad_files", "single", "labels"):
        shutil.copytree(box.root / "good", box.root / name)
    (box.root / "empty").mkdir()
    add_bad_files(box.root / "bad_files")
    for path in sorted((box.root / "single" / "class_c").iterdir())[1:]:
        path.unlink()
    write_labels(box.root / "labels", ["class_a/99.png,class_a"])
    (box.root / "weights.safetensors").write_bytes(b"not the right ones")
    return box


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A published model."""
    return bundle_study(make_study(tmp_path_factory.mktemp("bundled") / "study"))


def params(**changes) -> dict:
    """Parameters of one study whose images are the user's."""
    changes["dataset"] = {"path": "good"} | changes.get("dataset", {})
    return small_params(check=small_study(**changes))


def draw_pictures(folder: Path) -> None:
    settings = CheckSetGenerator(kind="trivial", classes=CLASSES, images_per_class=IMAGES_PER_CLASS)
    for i in range(CLASSES * IMAGES_PER_CLASS):
        label, number = divmod(i, IMAGES_PER_CLASS)
        path = folder / name_class(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render_check_picture(settings, i, label)).save(path)


def add_bad_files(folder: Path) -> None:
    (folder / "class_a" / "notes.jpg").write_text("Dear diary, today I imaged an electrode.\n")
    whole, cut = folder / "class_b" / "0.png", folder / "class_b" / "cut.tif"
    tifffile.imwrite(cut, tifffile.imread(write_tiff(whole, folder.parent / "whole.tif")))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    write_bomb(folder / "class_c" / "bomb.png")


def write_tiff(source: Path, target: Path) -> Path:
    Image.open(source).save(target)
    return target


def write_bomb(path: Path) -> None:
    """A small, wholly valid black-and-white PNG that would fill 900 MB when decoded."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", BOMB_EDGE_PX, BOMB_EDGE_PX, 1, 0, 0, 0, 0)
    row = b"\0" + b"\x55" * (BOMB_EDGE_PX // 8)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * BOMB_EDGE_PX, 1))
        + chunk(b"IEND", b"")
    )


def write_labels(folder: Path, further_rows: list[str]) -> None:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    rows = [f"{name},{name.split('/')[0]}" for name in names]
    (folder / "labels.csv").write_text("\n".join(["file,class", *rows, *further_rows]) + "\n")


def assert_stops_with(done: subprocess.CompletedProcess, *sentences: str) -> None:
    """The run failed with these sentences (patterns), each told at once and again at the end."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    told = re.findall(r"^ERROR: (.*)$", done.stdout, re.MULTILINE)
    assert len(told) == len(sentences), done.stdout
    for sentence, line in zip(sentences, told, strict=True):
        assert re.fullmatch(sentence, line), line
    end = done.stdout.split("What went wrong:\n")[1].splitlines()
    assert end[: len(told)] == told


def assert_stops_before_any_job(done: subprocess.CompletedProcess, sentence: str) -> None:
    """The run failed with this sentence (a pattern) and printed nothing else."""
    assert done.returncode != 0, done.stdout
    told = [line for line in done.stdout.splitlines() if not line.startswith("Using workflow")]
    assert len(told) == 1, done.stdout
    assert re.fullmatch(f"ERROR: {sentence}", told[0]), told[0]


def test_bad_files_are_listed_and_the_run_goes_on(sandbox):
    sandbox.write_params(params(dataset={"path": "bad_files"}))
    done = sandbox.snakemake("--", MANIFEST)
    assert "Traceback" not in done.stdout
    assert "12 images in 3 classes, 3 rejected" in done.stdout
    rejects = pd.read_csv(sandbox.root / "work/check/data/rejects.csv")
    assert dict(zip(rejects["path"], rejects["reason"], strict=True)) == REASONS
    for reject in rejects.itertuples():
        line = f"WARNING: {reject.path}: {reject.detail} ({reject.reason})"
        assert line in done.stdout.splitlines()
    too_large = rejects.set_index("path").loc["class_c/bomb.png", "detail"]
    assert "30000 × 30000 pixels, more than max_pixels 200000000" in too_large


def test_bad_files_are_one_row_each_of_a_prediction(sandbox, bundle, tmp_path):
    done = sandbox.run(
        "python", "workflow_scripts/predict_images.py", "--bundle", str(bundle),
        "--images", "bad_files", "--out", str(tmp_path / "out.csv"),
    )  # fmt: skip
    assert "Traceback" not in done.stdout
    table = pd.read_csv(tmp_path / "out.csv").set_index("file")
    assert len(table) == CLASSES * IMAGES_PER_CLASS + len(REASONS)
    rejected = table[table["status"] == "rejected"]
    assert rejected["reason"].str.split(":").str[0].to_dict() == REASONS


def test_empty_folder(sandbox, bundle):
    sentence = "empty: this folder holds no image that can be read; put files ending in .* there."
    sandbox.write_params(params(dataset={"path": "empty"}))
    assert_stops_with(sandbox.snakemake("--", MANIFEST, check=False), sentence)
    done = sandbox.run(
        "python", "workflow_scripts/predict_images.py", "--bundle", str(bundle),
        "--images", "empty", "--out", "out.csv", check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert re.fullmatch(f"ERROR: {sentence}\n", done.stdout)


def test_class_with_a_single_image(sandbox):
    sandbox.write_params(params(dataset={"path": "single"}))
    assert_stops_before_any_job(
        sandbox.snakemake("check", check=False),
        r"params.yaml: studies.check.split: the smallest class, 'class_c', has 1 image, but scheme "
        r"'holdout' \(arm '.*'\) needs at least 3 \(.*\); add images, or leave the class out "
        r"with dataset.where.",
    )


def test_label_row_that_names_a_missing_file_costs_itself(sandbox):
    labels = {"source": "table", "table": "labels.csv"}
    sandbox.write_params(params(dataset={"path": "labels", "labels": labels}))
    sandbox.snakemake("--", MANIFEST)
    rejects = pd.read_csv(sandbox.root / "work/check/data/rejects.csv")
    (told,) = rejects[rejects["path"] == "labels.csv"].to_dict("records")
    assert told["reason"] == "wrong_label"
    assert told["detail"].startswith("row 14: the file 'class_a/99.png' is not in the data set")


def test_unknown_backbone(sandbox):
    sandbox.write_params(params(model={"backbone": "resnet5O"}))
    assert_stops_with(
        sandbox.snakemake("--until", "check_model", check=False),
        r"model.backbone: 'resnet5O' is no backbone that timm knows; did you mean resnet50 .*",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"model": {"bakbone": "resnet50"}},
            r"params.yaml: studies.check.model.bakbone: unknown key; did you mean 'backbone'\?",
        ),
        (
            {"model": {"weights": "weights.safetensors", "weights_sha256": "0" * 64}},
            r"params.yaml: studies.check: weights.safetensors: the weights file has SHA-256 "
            r"[0-9a-f]{12}…, but model.weights_sha256 says 000000000000…; "
            r"fetch the right file or correct the hash.",
        ),
        (
            {
                "sweeps": {"zoom": {"dataset.where.magnificatoin": [100, 500]}},
                "run_sweeps": ["zoom"],
            },
            r"params.yaml: studies.check.sweeps.zoom: dataset.where.magnificatoin: the manifest "
            r"has no such column; did you mean 'magnification'\? known columns: sample_id, .*",
        ),
    ],
)
def test_wrong_parameters_stop_before_any_job(sandbox, changes, sentence):
    sandbox.write_params(params(**changes))
    assert_stops_before_any_job(sandbox.snakemake(check=False), sentence)


def run_on_small_disk(sandbox: Sandbox, size: str, command: str) -> subprocess.CompletedProcess:
    """Run a shell command while ``work/`` is an empty disk of the given size."""
    (sandbox.root / "work").mkdir(exist_ok=True)
    mount = MOUNT.format(size=size, folder="work")
    if shutil.which("unshare") is None:
        pytest.skip("a small disk cannot be mounted here: the program unshare is missing")
    probe = sandbox.run(*ON_A_SMALL_DISK, mount, check=False)
    if probe.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {probe.stdout.strip()}")
    # Forks of a server that was started before would not see the mounted disk.
    own = {ADDRESS: ""}
    return sandbox.run(*ON_A_SMALL_DISK, f"{mount} && {command}", check=False, **own)


def test_disk_runs_full_while_tiles_are_cut(sandbox):
    # 3 MB of tiles do not fit where 2 MB are free.
    sandbox.write_params(params(preprocess={"tiles_per_image": 112}))
    done = run_on_small_disk(sandbox, "2m", "snakemake --until preprocess_images")
    assert "(ingest_dataset, " in done.stdout  # of the manifest, for which there was room
    assert_stops_with(
        done,
        rf"No space is left on the disk that holds {sandbox.root}/work/check/\S+; "
        r"free some space and run again, finished work is kept.",
    )


def test_disk_is_full_from_the_start(sandbox):
    sandbox.write_params(params())
    done = run_on_small_disk(sandbox, "500k", "snakemake")
    assert done.returncode != 0
    assert done.stdout.splitlines()[1:] == [
        f"ERROR: No space is left on the disk that holds {sandbox.root}/work; "
        "free some space and run again, finished work is kept."
    ]
