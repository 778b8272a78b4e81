"""Time and memory of data sets of many small images, through the workflow as a user runs it.

Example: python -m benchmarks.many_images --images 100 1000 10000 --folder /tmp/many --out rows.json

For each size: the first ingest, a run in which nothing changed, a run after one image changed, and
the same change without what earlier ingests know. With `--predict` also the prediction of all
images by a bundle with a tiny network. The largest size takes minutes and gigabytes, so this is no
part of `make bench`. A folder that is given is kept, and so are images that lie there already.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measurement import report_sizes
from benchmarks.sample_data import LABEL_COLUMNS, LABEL_PATTERN, generate_frames, list_frames

ROOT = Path(__file__).resolve().parent.parent
WIDTH_PX, HEIGHT_PX = 160, 120
SMALLEST_FRAME_PX = (256, 192)  # that is generated
CROP_PX = HEIGHT_PX // 2  # which fits above a data bar
CLASSES = ("pristine", "formation", "100cycles")
STUDY = "many"
INGESTED = f"work/{STUDY}/data/manifest.parquet"
STATE = f"work/{STUDY}/state/ingest_data.sqlite"
LOG = f"work/{STUDY}/logs/ingest_dataset_data.log"
USED = re.compile(r"finished after ([\d.]+) s of CPU time, (\d+) MB")


def write_images(folder: Path, count: int) -> None:
    """Write parts of generated frames as PNG files, each another one, in six classes."""
    from PIL import Image

    if folder.exists():
        return
    originals = list_frames(generate_frames(folder.parent / "frames"))
    frames = [np.asarray(Image.open(path)) for path in originals]
    partial = folder.with_suffix(".partial")
    for i in range(count):
        image = draw_variation(frames, i)
        place = partial / f"ncm{(333, 811)[i % 2]}_{CLASSES[i % 3]}" / f"{i:07d}.png"
        if i < 2 * len(CLASSES):
            place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place, compress_level=1)
    partial.rename(folder)


def draw_variation(frames: Sequence[np.ndarray], number: int) -> np.ndarray:
    """Return a part of a frame, turned, brighter or darker, and unlike that of any other number."""
    rng = np.random.default_rng(number)
    frame = frames[number % len(frames)]
    y = rng.integers(0, frame.shape[0] - 64 - HEIGHT_PX)  # above the data bar
    x = rng.integers(0, frame.shape[1] - WIDTH_PX)
    part = frame[y : y + HEIGHT_PX, x : x + WIDTH_PX].astype(np.float32)
    part = part[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))] * rng.uniform(0.8, 1.2)
    image = np.clip(part, 0, 255).astype(np.uint8)
    image[0, :7] = [number // 10**k % 10 for k in range(7)]
    return image


def prepare_project(folder: Path, images: Path) -> None:
    """Write the settings of a project that reads these images."""
    demo = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    labels = {"pattern": LABEL_PATTERN, "columns": LABEL_COLUMNS}
    dataset = {"name": STUDY, "path": str(images), "labels": labels}
    study = demo["studies"]["cathode_state"] | {"dataset": dataset}
    study["preprocess"] |= {"crop_px": CROP_PX}  # nothing is cut, but it must fit
    folder.mkdir(parents=True, exist_ok=True)
    settings = demo | {"scale": "paper", "studies": {STUDY: study}}
    (folder / "params.yaml").write_text(json.dumps(settings), encoding="utf-8")


def run_workflow(folder: Path) -> dict[str, float]:
    """Let Snakemake ingest; return what it used with all its jobs, and what the ingest used."""
    log = folder / LOG
    before = log.stat().st_mtime_ns if log.exists() else 0
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--cores", "2", "--quiet", "all", "--", INGESTED]
    row = run_measured(command, folder)
    if log.exists() and log.stat().st_mtime_ns != before:
        cpu_s, memory_mb = USED.findall(log.read_text(encoding="utf-8"))[-1]
        row |= {"ingest_cpu_s": float(cpu_s), "ingest_mb": float(memory_mb)}
    return row


def run_measured(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Run a program; return its time, CPU time and the memory of the largest of its processes."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            raise RuntimeError(told.read().decode(errors="replace")[-2000:])
    return {
        "s": round(time.perf_counter() - started, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "mb": round(used.ru_maxrss / 1024),
    }


def change_image(images: Path, amount: int) -> None:
    """Make one image another one."""
    from PIL import Image

    path = min((images / f"ncm333_{CLASSES[0]}").iterdir())
    image = np.array(Image.open(path))
    image[1, :5] = [amount // 10**k % 10 for k in range(5)]
    Image.fromarray(image).save(path, compress_level=1)


def measure_ingest(folder: Path, count: int) -> dict[str, Any]:
    """Measure one size."""
    images = folder / f"images_{count}"
    write_images(images, count)
    project = folder / f"project_{count}"
    prepare_project(project, images)
    for name in (INGESTED, STATE):
        (project / name).unlink(missing_ok=True)
    row: dict[str, Any] = {"images": count, "first": run_workflow(project)}
    time.sleep(3)  # files that are younger than a tick of the clock are compared by content
    change_image(images, time.time_ns() % 100_000)
    run_workflow(project)
    row["nothing changed"] = run_workflow(project)
    change_image(images, time.time_ns() % 100_000)
    row["one changed"] = run_workflow(project)
    row["cache_mb"] = round((project / STATE).stat().st_size / 1e6, 1)
    return row


def measure_prediction(folder: Path, count: int) -> dict[str, Any]:
    """Measure the prediction of all images in a process of its own."""
    from benchmarks.predict_frames import Case, make_bundle

    images = folder / f"images_{count}"
    write_images(images, count)
    # One tile of each picture: what is asked is whether memory grows with their number.
    case = Case("many images", "test_resnet", 96, count, SMALLEST_FRAME_PX, HEIGHT_PX // 2, 1)
    bundle = folder / f"bundle_{case.backbone}_{case.crop_px}"
    if not bundle.exists():
        make_bundle(folder, case)
    code = "import sys; from benchmarks.many_images import predict_all; predict_all(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(images), str(bundle)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"images": count} | told


def predict_all(images: str, bundle: str) -> None:
    """Predict all images of a folder; print times, answers and by how much the memory grew.

    The first twenty come before, since they make libraries allocate what they keep.
    """
    from batteryscope.bundle.read import load_bundle
    from batteryscope.workflow.command_line import keep_freed_memory
    from benchmarks.peak_memory import measure_growth, read_resident_mb

    keep_freed_memory()  # as predict_images.py does
    root, answers = Path(images), Counter[str]()
    model = load_bundle(Path(bundle))
    model.answer_anyway = True  # turned parts of frames may be unlike the six of the training
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    list(model.predict_files(names[:20], root))

    def predict() -> None:
        for row in model.predict_files(names, root):
            answers[row["status"]] += 1

    started, cpu_before = time.perf_counter(), time.process_time()
    grown_mb = measure_growth(predict)
    told = {
        "s": round(time.perf_counter() - started, 1),
        "cpu_s": round(time.process_time() - cpu_before, 1),
        "mb": round(read_resident_mb()),
        "grown_mb": round(grown_mb, 1),
        "answers": dict(answers),
    }
    print(json.dumps(told))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes, print a row for each, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--predict", action="store_true", help="predict instead of ingesting")
    parser.add_argument("--folder", type=Path, help="where images and projects lie (default: /tmp)")
    parser.add_argument("--out", type=Path, help="also write the numbers to this file (.json)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batteryscope_many_") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        measure = measure_prediction if arguments.predict else measure_ingest
        report_sizes((measure(folder, count) for count in arguments.images), arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
