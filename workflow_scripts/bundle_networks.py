"""Bundle the networks of a table study's main arm with all that their use needs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--settings", required=True, help="table study as JSON text or file")
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--manifest", type=Path, required=True, help="row table (parquet)")
    parser.add_argument("--networks", type=Path, required=True, help="folder of train_networks")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of evaluate_table")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    return run_program(bundle, parser, argv, heavy=True)


def bundle(arguments: argparse.Namespace) -> None:
    """Read what the study left and write the bundle."""
    from batteryscope.config.table_study import TableStudySettings

    settings = read_settings(TableStudySettings, arguments.settings)
    from batteryscope.bundle.record import read_json
    from batteryscope.tables.bundle_write import write_table_bundle
    from batteryscope.tables.ensemble import read_coverages, read_half_widths
    from batteryscope.tables.row_schema import read_rows

    columns = [*settings.dataset.features, *settings.dataset.targets]
    record = write_table_bundle(
        arguments.out,
        arguments.study,
        settings,
        read_rows(arguments.manifest, columns),
        arguments.networks,
        read_half_widths(arguments.comparison / "intervals.csv", settings.main_arm),
        read_coverages(arguments.comparison / "intervals.csv", settings.main_arm),
        read_json(arguments.comparison / "metrics.json"),
        read_json(arguments.comparison / "findings.json"),
    )
    log.info("%s: %d networks bundled.", arguments.study, len(record.members))


if __name__ == "__main__":
    sys.exit(main())
