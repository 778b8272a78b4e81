"""Bundle the models of capacities with all that their use needs."""

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
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--frames", type=Path, required=True, help="measurements per frame (parquet)"
    )
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the images")
    parser.add_argument("--arms", required=True, help="JSON: name → {split, fits}")
    parser.add_argument("--published", nargs="+", required=True, help="arms to bundle")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    return run_program(bundle, parser, argv, heavy=True)


def bundle(arguments: argparse.Namespace) -> None:
    """Read what the study left and write the bundle."""
    from batteryscope.bundle.record import BundleSettings

    settings = read_settings(BundleSettings, arguments.settings)
    import pandas as pd

    from batteryscope.bundle.capacity_write import write_capacity_bundle
    from batteryscope.manifest.frames import read_frames

    manifest = pd.read_parquet(arguments.manifest)
    record = write_capacity_bundle(
        arguments.out,
        settings,
        json.loads(arguments.arms),
        arguments.published,
        manifest,
        read_frames(arguments.frames, manifest),
        arguments.dataset,
        arguments.comparison,
    )
    log.info("%d models bundled in %s.", len(record.members), arguments.out)


if __name__ == "__main__":
    sys.exit(main())
