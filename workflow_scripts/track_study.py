"""Mirror a finished study in MLflow: runs of arms and fits, tables, figures, data, model.

If MLflow cannot be reached, the outcome file says so and the exit status is 0.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.errors import ConfigError
from batteryscope.workflow.command_line import add_tracking_uri, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    add_tracking_uri(parser)
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--enabled", action="store_true", default=True, help="record (default)")
    switch.add_argument("--disabled", dest="enabled", action="store_false", help="record nothing")
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument("--config-hash", default="", help="hash of the settings")
    parser.add_argument("--manifest-summary", type=Path, required=True, help="summary.json")
    parser.add_argument("--data-name", required=True, help="name of the data set")
    parser.add_argument("--data-version", default="", help="hash of the data set")
    parser.add_argument("--split", nargs="+", required=True, help="[arm=]FILE; bare: of all arms")
    parser.add_argument("--arms", nargs="+", required=True, help="name=DIR")
    parser.add_argument("--arm-stages", nargs="+", required=True, help="name=chain1,chain2")
    parser.add_argument("--stages", nargs="+", required=True, help="chain=DIR")
    parser.add_argument("--comparison", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--external", type=Path, help="folder of the external data set")
    parser.add_argument("--report", type=Path, help="folder of the report")
    parser.add_argument("--bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--out", type=Path, required=True, help="tracked.json")
    parser.set_defaults(words=words)
    return run_program(track, parser, None if argv is None else words)


def track(arguments: argparse.Namespace) -> None:
    """Collect where the results lie, mirror them and write tracked.json."""
    from batteryscope.config.study import StudySettings
    from batteryscope.tracking.mirror import plan_runs
    from batteryscope.tracking.records import StudyResults
    from batteryscope.tracking.study import track_runs, write_tracked

    arms = {name: Path(folder) for name, folder in read_pairs(arguments.arms, "--arms")}
    splits = dict(read_pairs([w if "=" in w else f"*={w}" for w in arguments.split], "--split"))
    if missing := [arm for arm in arms if not {arm, "*"} & splits.keys()]:
        raise ConfigError(f"--split: no file is given for the arm '{missing[0]}'; add it.")
    chains = dict(read_pairs(arguments.arm_stages, "--arm-stages"))
    results = StudyResults(
        study=arguments.study,
        settings=read_settings(StudySettings, arguments.settings),
        config_hash=arguments.config_hash,
        data_name=arguments.data_name,
        data_version=arguments.data_version,
        manifest_summary=arguments.manifest_summary,
        splits={arm: Path(splits.get(arm) or splits["*"]) for arm in arms},
        arms=arms,
        arm_stages={arm: tuple(names.split(",")) for arm, names in chains.items()},
        stages={name: Path(d) for name, d in read_pairs(arguments.stages, "--stages")},
        comparison=arguments.comparison,
        external=arguments.external,
        report=arguments.report,
        bundle=arguments.bundle,
    )
    command = [Path(__file__).name, *arguments.words]
    outcome = track_runs(
        results.study, lambda: plan_runs(results), arguments.uri, arguments.enabled, command
    )
    write_tracked(arguments.out, outcome)


def read_pairs(words: Sequence[str], option: str) -> list[tuple[str, str]]:
    """Split ``name=value`` words."""
    for word in words:
        if "=" not in word:
            raise ConfigError(f"{option}: found '{word}'; expected name=value.")
    return [(word.split("=", 1)[0], word.split("=", 1)[1]) for word in words]


if __name__ == "__main__":
    sys.exit(main())
