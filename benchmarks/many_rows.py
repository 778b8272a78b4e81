"""Time and memory of a study of tables over the number of rows, through the workflow.

Example: python -m benchmarks.many_rows --rows 350 1000 10000 --folder /tmp/rows --out rows.json

The rows are those of the generator of `electrode_manufacturing`, in a file of one's own: three of
five teach, one of five each is Si-graphite and NMC. Settings are those of the demo. Every job says
in its log what it used, the record in MLflow (a database in the folder) included; then the
published model predicts all rows. The largest size takes minutes, so this is no part of `make
bench`. A folder that is given is kept.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from batteryscope.config.table_data import ManufacturingGenerator
from batteryscope.demo.manufacturing import make_electrodes
from benchmarks.many_images import ROOT, run_measured
from benchmarks.measurement import report_sizes

STUDY, TABLE = "many_rows", "rows.csv"
USED = re.compile(r"finished after ([\d.]+) s of CPU time, (\d+) MB")


def write_rows(path: Path, count: int) -> None:
    """Write a table of so many generated electrodes."""
    fifth = count // 5
    rows = {"graphite": count - 2 * fifth, "si_graphite": fifth, "nmc": fifth}
    drawn = ManufacturingGenerator(kind="electrode_manufacturing", rows=rows)  # type: ignore[arg-type]
    table = pd.concat([make_electrodes(name, drawn) for name in rows])
    table.to_csv(path, index=False, lineterminator="\n")


def prepare_project(folder: Path, count: int, repeats: int | None) -> None:
    """Write a table, and the settings of a project that reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / TABLE, count)
    demo = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    study = demo["studies"]["electrode_manufacturing"]
    study["dataset"] |= {"files": [{"path": TABLE}], "name": STUDY}
    del study["dataset"]["generator"]
    if repeats:
        study["demo"]["split"] = {"repeats": repeats}
    settings = demo | {"scale": "demo", "studies": {STUDY: study}}
    (folder / "params.yaml").write_text(json.dumps(settings), encoding="utf-8")


def measure(folder: Path, count: int, repeats: int | None) -> dict[str, Any]:
    """Run the study of so many rows and ask its model about all of them."""
    prepare_project(folder, count, repeats)
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    row: dict[str, Any] = {"rows": count}
    row["run"] = run_measured([*snakemake, "--cores", "2", "--quiet", "all", "--", STUDY], folder)
    for log in sorted((folder / "work" / STUDY / "logs").glob("*.log")):
        if found := USED.findall(log.read_text(encoding="utf-8")):
            row[log.stem] = {"cpu_s": float(found[-1][0]), "mb": int(found[-1][1])}
    page = folder / "reports" / STUDY / "report.html"
    row["page_mb"] = round(page.stat().st_size / 1e6, 2)
    row["database_mb"] = round((folder / "mlflow.db").stat().st_size / 1e6, 1)
    predict = [sys.executable, str(ROOT / "workflow_scripts" / "predict_table.py")]
    predict += ["--bundle", str(folder / "models" / STUDY), "--table", str(folder / TABLE)]
    row["predict"] = run_measured([*predict, "--out", str(folder / "answers.csv")], folder)
    return row


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes, print a row for each, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[350, 1000, 10_000])
    parser.add_argument("--repeats", type=int, help="divisions of the rows (default: the demo's)")
    parser.add_argument("--folder", type=Path, help="where the projects lie (default: /tmp)")
    parser.add_argument("--out", type=Path, help="also write the numbers to this file (.json)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batteryscope_rows_") as scratch:
        folder = arguments.folder or Path(scratch)
        rows = (measure(folder / str(count), count, arguments.repeats) for count in arguments.rows)
        report_sizes(rows, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
