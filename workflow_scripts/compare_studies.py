"""Compare two studies, or two versions of one, by what they answered about the same test samples.

For example: compare_studies.py cathode_state cathode_state@HEAD~1
             compare_studies.py reports/cathode_state ~/elsewhere/reports/cathode_state

A and B are published studies, folders of reports or models, or studies of an earlier commit. It
prints metrics, a paired test, and which answers changed, and writes them to a folder:
versions.html (with small pictures where a report has them), metrics.csv, tests.csv, changes.csv.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("first", metavar="A", help="a study, a folder, or STUDY@COMMIT")
    parser.add_argument("second", metavar="B", help="the same")
    parser.add_argument("--out", type=Path, help="folder to write (default: work/compared/A--B)")
    return run_program(compare, parser, argv)


def compare(arguments: argparse.Namespace) -> None:
    """Find both sides, compare them, print and write what was found."""
    from batteryscope.command.compared_version import find_version
    from batteryscope.core.safe_text import show_controls
    from batteryscope.evaluation.compare_answers import compare_answers
    from batteryscope.evaluation.published_answers import read_answers
    from batteryscope.report.version_page import list_lines, read_pictures, write_versions

    with tempfile.TemporaryDirectory(prefix="batteryscope") as scratch:
        sides = []
        for letter, word in (("A", arguments.first), ("B", arguments.second)):
            place = Path(scratch) / letter
            place.mkdir()
            sides.append(find_version(word, Path(), place))
        tables = [read_answers(side.answers) for side in sides]
    comparison = compare_answers(*tables)
    name = "--".join(re.sub(r"[^\w.@~-]+", "_", side.name).strip("_.") for side in sides)
    out = arguments.out or Path("work") / "compared" / name
    for line in list_lines(comparison, sides):
        print(show_controls(line))
    pictures = read_pictures([side.page for side in sides if side.page])
    print(f"Page: {write_versions(comparison, sides, out, pictures)}")


if __name__ == "__main__":
    sys.exit(main())
