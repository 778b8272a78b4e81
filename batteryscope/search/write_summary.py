"""Writes what a search found: tables, figures, a page, and the best settings as an overlay."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.search.figures import draw_search
from batteryscope.search.page import render_search
from batteryscope.search.plan import SearchPlan
from batteryscope.search.queue import list_slots
from batteryscope.search.results import (
    compare_strategies,
    describe_search,
    find_best,
    list_candidates,
    trace_progress,
)

if TYPE_CHECKING:
    import optuna


def write_summary(
    study: str,
    settings: StudySettings | TableStudySettings,
    plan: SearchPlan,
    searches: "Mapping[str, optuna.Study]",
    out: Path,
) -> str:
    """Write everything and return what was found in two or three sentences.

    Parameters
    ----------
    study, settings, plan
        Name and settings of the study, and its search.
    searches
        Optuna's studies by strategy, ASHA first.
    out
        Gets ``search.html, search.json, best.yaml, candidates.csv, epochs.csv, progress.csv`` and
        ``figures/``.

    Raises
    ------
    InputError
        If no candidate was trained to the end.
    """
    search = plan.settings
    candidates = pd.concat([list_candidates(s, name) for name, s in searches.items()])
    epochs = [
        (name, slot, step - 1, value)
        for name, search_study in searches.items()
        for slot, trial in list_slots(search_study).items()
        for step, value in sorted(trial.intermediate_values.items())
    ]
    best = find_best(candidates, search)
    strategies = compare_strategies(candidates, search)
    progress = trace_progress(candidates, search)
    sentence = describe_search(strategies, best, str(search.metric))
    overlay = yaml.safe_dump(
        plan.write_overlay(best["values"]), sort_keys=False, allow_unicode=True, width=1000
    )
    head = f"# {sentence}\n#   snakemake --configfile best.yaml -- {study}\n"
    facts = {
        "sentence": sentence,
        "best": best,
        "strategies": strategies.to_dict("records"),
        "settings": search.model_dump(mode="json"),
    }
    pictures = list(draw_search(next(iter(searches.values())), progress, str(search.metric)))
    page = render_search(study, settings, plan, sentence, strategies, candidates, pictures, overlay)
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
    return sentence
