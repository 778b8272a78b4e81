"""Solve the half-cell model on a grid of porosities: capacity at every C-rate (CSV)."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log, show_progress
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="half cell (JSON text or file)")
    parser.add_argument(
        "--vary",
        nargs=3,
        action="append",
        default=[],
        metavar=("SETTING", "LOWEST", "HIGHEST"),
        help="setting that generated electrodes differ in, and its limits; several times",
    )
    parser.add_argument("--out", type=Path, required=True, help="table (CSV) to write")
    return run_program(simulate, parser, argv)


def simulate(arguments: argparse.Namespace) -> None:
    """Solve porosity by porosity."""
    from batteryscope.config.physics import HalfCellSettings

    cell = read_settings(HalfCellSettings, arguments.settings)
    from batteryscope.physics.half_cell import choose_variants, simulate_grid, tabulate

    ranges = [(name, float(low), float(high)) for name, low, high in arguments.vary]
    variants = choose_variants(cell, ranges)
    count = cell.grid_points * len(variants)
    steps = show_progress(simulate_grid(cell, variants), "Solving the half cell", count, "porosity")
    table = tabulate(list(steps))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    # C-rates stay as they are: labels and targets find their row by them.
    digits = {name: 4 for name in table.columns if name != "c_rate"}
    table.round(digits).to_csv(arguments.out, index=False, lineterminator="\n")
    log.info(
        "%d porosities, %d C-rates, %d kinds of electrodes",
        cell.grid_points,
        len(cell.c_rates),
        len(variants),
    )


if __name__ == "__main__":
    sys.exit(main())
