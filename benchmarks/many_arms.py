"""Time, memory and size of a report and of what MLflow gets, over the number of arms and images.

Example: python -m benchmarks.many_arms --arms 2 100 1000 --images 10000 --out rows.json

The studies are made up: no network is trained. MLflow gets two fits per arm. The largest size takes
minutes, so this is no part of `make bench`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batteryscope.config.study import StudySettings
from benchmarks.many_images import ROOT, run_measured
from benchmarks.measurement import report_sizes
from tests.reported_study import StudyOnDisk, make_settings
from tests.tracking_study import SETTINGS, STUDY, build_study, copy_empty_store

CLASSES = (("x1", "x2", "x3"), ("fresh", "aged"))


def add_arms(settings: StudySettings, count: int) -> StudySettings:
    """Return a study with so many arms, which differ in the learning rate."""
    values = settings.model_dump(mode="json", exclude_unset=True)
    for number in range(len(values["arms"]), count):
        rate = round(1e-4 * (1 + number / 1000), 9)
        values["arms"][f"rate_{number}"] = {"change": {"train.learning_rate": rate}}
    return StudySettings.model_validate(values)


def measure_report(folder: Path, arms: int, images: int) -> dict[str, Any]:
    """Measure the report of a study with so many arms and images."""
    settings = add_arms(make_settings(), arms)
    per_class = max(1, images // (len(CLASSES[0]) * len(CLASSES[1])))
    study = StudyOnDisk(folder / "report", *CLASSES, per_class, settings)
    out = folder / "out"
    written = folder / "settings.json"
    written.write_text(settings.model_dump_json(), encoding="utf-8")
    words = study.arguments(out=out)
    words[words.index("--settings") + 1] = str(written)
    program = [sys.executable, str(ROOT / "workflow_scripts" / "report_study.py")]
    row = run_measured([*program, *words], folder)
    return row | {"page_mb": round((out / "report.html").stat().st_size / 1e6, 2)}


def measure_mirror(folder: Path, arms: int) -> dict[str, Any]:
    """Measure the first record of such a study in a local database, and one without a change."""
    settings = add_arms(SETTINGS, arms)
    work = folder / "mirror"
    build_study(work, settings=settings)
    uri = copy_empty_store(folder)
    written = folder / "settings.json"
    written.write_text(settings.model_dump_json(), encoding="utf-8")
    program = [sys.executable, str(ROOT / "workflow_scripts" / "track_study.py")]
    program += ["--study", STUDY, "--settings", str(written), "--work", str(work)]
    program += ["--uri", uri, "--out", str(folder / "tracked.json")]
    first = run_measured(program, folder)
    again = run_measured(program, folder)
    size = sum(path.stat().st_size for path in folder.glob("mlflow.db*"))
    return {"first": first, "again": again, "database_mb": round(size / 1e6, 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes, print a row for each, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, nargs="+", default=[2, 100])
    parser.add_argument("--images", type=int, default=100, help="of the report")
    parser.add_argument("--only", choices=("report", "mirror"), help="one of both")
    parser.add_argument("--out", type=Path, help="also write the numbers to this file (.json)")
    arguments = parser.parse_args(argv)
    report_sizes((measure_arms(count, arguments) for count in arguments.arms), arguments.out)
    return 0


def measure_arms(count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the report of so many arms, their record in MLflow, or both."""
    row: dict[str, Any] = {"arms": count, "images": arguments.images}
    with tempfile.TemporaryDirectory(prefix="batteryscope_arms_") as scratch:
        if arguments.only != "mirror":
            row["report"] = measure_report(Path(scratch), count, arguments.images)
        if arguments.only != "report":
            row["mirror"] = measure_mirror(Path(scratch), count)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
