"""Time and memory of a project with many studies: its settings, a dry run, its status.

Example: python -m benchmarks.many_studies --studies 1 10 100 1000 --out rows.json

All studies are one of params.yaml under other names. The largest size takes minutes, so this is
no part of `make bench`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.many_images import ROOT, run_measured
from benchmarks.measurement import report_sizes

LOAD = (
    "from pathlib import Path; from batteryscope.config.project import load_project; "
    "load_project(Path('params.yaml'))"
)


def prepare_project(folder: Path, count: int, study: str) -> None:
    """Write the settings of a project with so many studies."""
    demo = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    studies = {f"s{number:04d}": demo["studies"][study] for number in range(count)}
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.dump(demo | {"studies": studies}, Dumper=_PlainDumper, sort_keys=False)
    (folder / "params.yaml").write_text(text, encoding="utf-8")


class _PlainDumper(yaml.SafeDumper):
    """Writes every study in full, as people do, instead of references to the first."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def measure(folder: Path, count: int, study: str) -> dict[str, Any]:
    """Measure a project with so many studies."""
    prepare_project(folder, count, study)
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    snakemake += ["--cores", "2", "--dry-run", "--quiet", "all"]
    status = [sys.executable, "-c", "from batteryscope.command.main import main; main(['status'])"]
    return {
        "studies": count,
        "settings": run_measured([sys.executable, "-c", LOAD], folder),
        "dry run": run_measured(snakemake, folder),
        "dry run of one": run_measured([*snakemake, "--", "s0000"], folder),
        "status": run_measured(status, folder),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all sizes, print a row for each, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--study", default="cathode_state", help="the one that is repeated")
    parser.add_argument("--out", type=Path, help="also write the numbers to this file (.json)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batteryscope_studies_") as scratch:
        rows = (
            measure(Path(scratch, str(count)), count, arguments.study)
            for count in arguments.studies
        )
        report_sizes(rows, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
