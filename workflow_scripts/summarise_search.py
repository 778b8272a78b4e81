"""Write what a search found: tables, figures, a page, and the best settings as an overlay."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import log, make_parser, read_settings, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--settings", required=True, help="study settings (JSON text or file)")
    parser.add_argument("--created", type=Path, nargs="+", required=True, help="ASHA's first")
    parser.add_argument("--storage", required=True, help="address of the database")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    return run_program(summarise, parser, argv)


def summarise(arguments: argparse.Namespace) -> None:
    """Read all candidates and write everything."""
    import pandas as pd
    import yaml

    from batteryscope.config.study import StudySettings
    from batteryscope.plan import plan_study
    from batteryscope.search.figures import draw_search
    from batteryscope.search.page import render_search
    from batteryscope.search.plan_search import plan_search, write_best_arm
    from batteryscope.search.queue import list_slots, load_queue
    from batteryscope.search.results import (
        compare_strategies,
        describe_search,
        find_best,
        list_candidates,
        trace_progress,
    )
    from batteryscope.search.storage import open_storage

    settings = read_settings(StudySettings, arguments.settings)
    plan = plan_search(plan_study(arguments.study, settings))
    assert plan is not None  # the rule exists for studies with a search alone
    search = plan.settings
    storage = open_storage(arguments.storage, search.heartbeat_s, search.max_retries)
    searches = {}
    for path in arguments.created:
        created = json.loads(path.read_text(encoding="utf-8"))
        queue = load_queue(storage, arguments.storage, created["name"])
        searches[created["strategy"]] = queue.study
    candidates = pd.concat([list_candidates(s, name) for name, s in searches.items()])
    epochs = [
        (name, slot, step - 1, value)
        for name, study in searches.items()
        for slot, trial in list_slots(study).items()
        for step, value in sorted(trial.intermediate_values.items())
    ]
    best = find_best(candidates, search)
    strategies = compare_strategies(candidates, search)
    progress = trace_progress(candidates, search)
    sentence = describe_search(strategies, best, search.metric)
    overlay = yaml.safe_dump(
        write_best_arm(arguments.study, settings, plan, best["values"]),
        sort_keys=False,
        allow_unicode=True,
    )
    head = f"# {sentence}\n#   snakemake --configfile best.yaml -- {arguments.study}\n"
    facts = {
        "sentence": sentence,
        "best": best,
        "strategies": strategies.to_dict("records"),
        "settings": search.model_dump(mode="json"),
    }
    pictures = list(draw_search(next(iter(searches.values())), progress, search.metric))
    page = render_search(
        arguments.study, settings, search, sentence, strategies, candidates, pictures, overlay
    )
    out = arguments.out
    (out / "figures").mkdir(parents=True, exist_ok=True)
    candidates.to_csv(out / "candidates.csv", index=False)
    names = ["strategy", "candidate", "epoch", "value"]
    pd.DataFrame(epochs, columns=names).to_csv(out / "epochs.csv", index=False)
    progress.to_csv(out / "progress.csv", index=False)
    (out / "best.yaml").write_text(head + overlay, encoding="utf-8")
    (out / "search.json").write_text(
        json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for picture in pictures:
        (out / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        (out / "figures" / f"{picture.name}.svg").write_bytes(picture.svg)
    (out / "search.html").write_text(page, encoding="utf-8")
    log.info("%s", sentence)
    log.info("page: %s", out / "search.html")


if __name__ == "__main__":
    sys.exit(main())
