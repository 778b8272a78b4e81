"""Propose settings of the features that should give the wanted values of the targets."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="settings of the study (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="folder with its pieces")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    return run_program(propose, parser, argv, heavy=True)


def propose(arguments: argparse.Namespace) -> None:
    """Search, choose, draw, write."""
    import pandas as pd

    from batteryscope.bundle.record import write_json
    from batteryscope.core.style import encode_picture
    from batteryscope.planning.layout import open_rows
    from batteryscope.tables.answering_models import choose_answering_arms, replace_networks
    from batteryscope.tables.ensemble import read_ensemble, read_half_widths
    from batteryscope.tables.figure_proposals import draw_proposals
    from batteryscope.tables.proposals import TOLERANCE
    from batteryscope.tables.propose import check_wishes, propose_parameters
    from batteryscope.tables.row_schema import read_rows

    layout = open_rows(arguments.work, arguments.study, arguments.settings)
    settings = layout.plan.settings
    dataset, arm = settings.dataset, settings.main_arm
    manifest = read_rows(layout.data.manifest, [*dataset.features, *dataset.targets])
    intervals = layout.comparison / "intervals.csv"
    widths = read_half_widths(intervals, arm)
    ensemble = read_ensemble(layout.networks, widths, arm, list(dataset.features))
    domain = check_wishes(settings, ensemble).domain
    comparison = pd.read_csv(layout.comparison / "comparison.csv")
    answering = choose_answering_arms(comparison, settings, domain)
    split = pd.read_parquet(layout.split().roles)
    ensemble = replace_networks(ensemble, answering, domain, manifest, split, settings, intervals)
    found = propose_parameters(manifest, ensemble, settings)

    arguments.out.mkdir(parents=True, exist_ok=True)
    found.table.to_csv(arguments.out / "proposals.csv", index=False, lineterminator="\n")
    summary = {
        "domain": found.domain,
        "wanted": dict(found.wanted),
        "models": answering,
        "trials": found.trials,
        "tolerance_percent": 100 * TOLERANCE,
        "within_tolerance": found.within_tolerance,
        "pareto": found.pareto,
        "best_deviation_percent": float(found.table["max_deviation_percent"].min()),
    }
    write_json(arguments.out / "proposals.json", summary)
    caption = f"Settings proposed for {found.domain}, and what the models predict for them."
    figure = draw_proposals(found, manifest, dataset)
    picture = encode_picture(figure, "proposals", caption, dataset.generated)
    (arguments.out / "proposals.png").write_bytes(picture.png)
    (arguments.out / "proposals.svg").write_bytes(picture.svg)
    log.info(
        "%d of %d settings come within %g %%; %d proposed, the best misses by %.2g %%.",
        found.within_tolerance,
        found.trials,
        100 * TOLERANCE,
        len(found.table),
        summary["best_deviation_percent"],
    )
    if not found.table["within_tolerance"].any():
        log.warning("No setting gives the wanted values; ask for others, or for more trials.")


if __name__ == "__main__":
    sys.exit(main())
