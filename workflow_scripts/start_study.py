"""Look at a folder, and write a study that fits it: a commented overlay that runs as it is.

For example: start_study.py --images data/raw/my_cathodes
             start_study.py --images data/raw/my_cathodes --targets particle_um
             start_study.py --scans data/raw/my_cells
             start_study.py --table data/raw/electrodes.csv --targets density loading

It prints what it found (fingerprint), saves it below work/NAME/start/, and writes NAME.yaml, which
snakemake --configfile NAME.yaml -- NAME runs. With --check nothing is written. Exit status: 0 if
a study is possible; 1 if not, or if something is wrong, and a sentence says what.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import add_table_format, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = make_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--images", type=Path, help="folder of pictures, best one for each class")
    what.add_argument("--scans", type=Path, help="folder of CT scans, one for each state")
    what.add_argument("--table", type=Path, nargs="+", help="tables with a row for each electrode")
    parser.add_argument("--targets", nargs="+", default=[], help="columns to predict")
    parser.add_argument("--domain", default="", help="of --table: column that names the material")
    add_table_format(parser)
    parser.add_argument("--name", default="", help="of the study (default: after the folder)")
    parser.add_argument("--out", type=Path, help="file to write (default: NAME.yaml, here)")
    parser.add_argument("--replace", action="store_true", help="replace that file if it is there")
    parser.add_argument("--check", action="store_true", help="report problems, write nothing")
    return run_program(_start, parser, argv)


def _start(arguments: argparse.Namespace) -> None:
    from batteryscope.config.base import validate_settings
    from batteryscope.config.table_format import TableFormat
    from batteryscope.core.run_options import describe_run
    from batteryscope.errors import InputError
    from batteryscope.start.fingerprint import write_table
    from batteryscope.start.look import look_at
    from batteryscope.start.machine import look_at_machine, show_duration
    from batteryscope.start.start import name_study, plan_from, write_fingerprint

    root = Path.cwd()
    if not (root / "params.yaml").is_file():
        raise InputError("params.yaml is not here; run this from the project's root.")
    place = arguments.images or arguments.scans or arguments.table[0]
    name = name_study(arguments.name, place, root)
    file = arguments.out or Path(f"{name}.yaml")
    if file.is_dir():
        raise InputError(
            f"--out: {file} is a folder; name a file in it, such as {file}/{name}.yaml."
        )
    if file.exists() and not (arguments.replace or arguments.check):
        raise InputError(f"{file} is there already; add --replace, or another --name.")
    options = {name: getattr(arguments, name) for name in TableFormat.model_fields}
    written = validate_settings(TableFormat, options, "options")
    seen, samples = look_at(
        images=arguments.images, scans=arguments.scans, tables=arguments.table or [],
        targets=arguments.targets, domain=arguments.domain, written=written,
    )  # fmt: skip
    print(write_table(seen))
    started = plan_from(seen, samples, name, look_at_machine(timed=not arguments.check), root, file)
    for problem in started.problems:
        log.warning("%s", problem.text)
    if started.overlay is None:
        raise InputError(f"{place}: no study is possible before that is put right.")
    if arguments.check:
        log.info("A study is possible.")
        return
    files = write_fingerprint(seen, started.problems, root / "work" / name / "start")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(started.overlay, encoding="utf-8")
    takes = "" if started.seconds is None else f" (about {show_duration(started.seconds)})"
    log.info("The fingerprint is in %s.", files[1].relative_to(root))
    log.info("The plan is in %s. Run it%s:", file, takes)
    log.info("  %s", describe_run(file, name))


if __name__ == "__main__":
    sys.exit(main())
