"""Generate a demo table: electrodes with their process settings, or gas diffusion layers."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="generator settings, JSON text or file")
    parser.add_argument("--workers", type=int, help="processes (default: all processors)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table to write")
    return run_program(_generate, parser, argv)


def _generate(arguments: argparse.Namespace) -> None:
    from batteryscope.config.table_data import (
        GdlGenerator,
        ManufacturingGenerator,
        TableGeneratorKind,
    )

    if read_settings(TableGeneratorKind, arguments.settings).kind == "gdl":
        from batteryscope.demo.gdl_dataset import write_gdl_table

        layers = read_settings(GdlGenerator, arguments.settings)
        path = write_gdl_table(layers, arguments.out, arguments.workers or os.cpu_count() or 1)
    else:
        from batteryscope.demo.manufacturing import write_manufacturing_table

        electrodes = read_settings(ManufacturingGenerator, arguments.settings)
        path = write_manufacturing_table(electrodes, arguments.out)
    log.info("generated table: %s", path)


if __name__ == "__main__":
    sys.exit(main())
