"""Renew the stored results of the six small studies, and say what changed.

Run it from the project's folder after a change that is meant to change numbers or sentences::

    python -m tests.golden.renew            # renew, and print every difference
    python -m tests.golden.renew --dry-run  # print only
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.golden.project import (
    STUDIES,
    build_project,
    collect_results,
    list_differences,
    plan_programs,
    read_stored,
    run_programs,
    store_results,
)


def main() -> int:
    """Run all six studies, compare with what is stored, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", default=STUDIES, help="default: all six")
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sandbox = build_project(Path(folder) / "project")
        programs = plan_programs(sandbox)
        for study in arguments.studies:
            run_programs(sandbox.root, programs[study])
            results = collect_results(sandbox.root, study)
            lines = list_differences(read_stored(study), results)
            print(f"{study}: {len(lines)} differences")
            print("".join(f"  {line}\n" for line in lines), end="")
            if not arguments.dry_run:
                store_results(study, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
