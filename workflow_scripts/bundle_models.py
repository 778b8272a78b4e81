"""Bundle the trained models of a study's main arm with all that their use needs."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="bundle settings (JSON text or file)")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="parts of the stage")
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--frames", type=Path, required=True, help="measurements per frame (parquet)"
    )
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the images")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument(
        "--calibration", type=Path, required=True, help="calibration.json of the arm"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json of the study")
    parser.add_argument("--findings", type=Path, help="findings.json of the study")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    return run_program(bundle, parser, argv, heavy=True)


def bundle(arguments: argparse.Namespace) -> None:
    """Read what the study left and write the bundle."""
    from batteryscope.bundle.record import BundleSettings

    settings = read_settings(BundleSettings, arguments.settings)
    import pandas as pd

    from batteryscope.bundle.write import write_bundle
    from batteryscope.manifest.frames import read_frames

    def read(path: Path) -> object:
        return json.loads(path.read_text(encoding="utf-8"))

    calibration, metrics = read(arguments.calibration), read(arguments.metrics)
    findings = read(arguments.findings) if arguments.findings else []
    manifest = pd.read_parquet(arguments.manifest)
    record = write_bundle(
        arguments.out,
        settings,
        [fit for part in arguments.fits for fit in part.glob("r*_f*")],
        manifest,
        read_frames(arguments.frames, manifest),
        pd.read_parquet(arguments.split),
        arguments.dataset,
        calibration["temperature"],  # type: ignore[index]
        metrics,  # type: ignore[arg-type]
        findings,  # type: ignore[arg-type]
    )
    log.info("%s: %d models bundled in %s.", settings.arm, len(record.members), arguments.out)


if __name__ == "__main__":
    sys.exit(main())
