"""Writes what a search found: tables, figures, a page, and the best settings as an overlay."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.figure_values import spell_values
from batteryscope.core.style import (
    BLUE,
    ORANGE,
    Picture,
    encode_picture,
    house_style,
    make_figure,
)
from batteryscope.report.html import make_environment
from batteryscope.report.shown_table import show_table
from batteryscope.report.tables import format_duration
from batteryscope.search.plan import SearchPlan
from batteryscope.search.queue import list_slots
from batteryscope.search.results import (
    STATES,
    compare_strategies,
    describe_search,
    find_best,
    list_candidates,
    name_metric,
    show_value,
    trace_progress,
)

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

SHOWN_CANDIDATES = 15
log = logging.getLogger("batteryscope")
CAPTIONS = {
    "history": "Value of every candidate over the order of their start, and the best so far.",
    "intermediate_values": "Validation metric over epochs, one line per candidate. Lines that end "
    "early belong to candidates that were stopped.",
    "parallel_coordinates": "One line per candidate through its settings; the colour is its value.",
    "importance": "Share of the value's variation that each setting explains among the best "
    "candidates (PED-ANOVA). With few "
    "candidates this is no more than a hint.",
}


def draw_search(study: "optuna.Study", progress: pd.DataFrame, metric: str) -> Iterator[Picture]:
    """Draw all figures; one that too few candidates allow is left out with a warning.

    Parameters
    ----------
    study
        The Optuna study of ASHA.
    progress
        Best value so far over epochs, per strategy.
    metric
        Name of the validation metric.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import optuna.visualization.matplotlib as draw

    name = name_metric(metric)
    yield encode_picture(
        draw_progress(progress, name),
        "asha_and_random",
        f"Best {name} so far over the epochs spent, candidates counted in the order in which they "
        "ended.",
    )
    functions = {
        "history": draw.plot_optimization_history,
        "intermediate_values": draw.plot_intermediate_values,
        "parallel_coordinates": draw.plot_parallel_coordinate,
        "importance": draw.plot_param_importances,
    }
    for title, function in functions.items():
        try:
            yield _draw(function, study, title, name)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            log.warning("The figure '%s' is left out: %s", title, str(error).splitlines()[0])


def _draw(function: object, study: "optuna.Study", title: str, name: str) -> Picture:
    from matplotlib import pyplot

    assert callable(function)
    wanted = {} if title == "intermediate_values" else {"target_name": name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few candidates, equal values and new functions
        drawn = function(study, **wanted)
        axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
        figure = axes.get_figure()
        for place in ("left", "center", "right"):
            axes.set_title("", loc=place)
        if title == "intermediate_values":
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
        legend = axes.get_legend()
        if legend is not None and len(legend.get_texts()) > 12:
            legend.remove()
        values = spell_values(figure)
        figure.set_size_inches(7.2, 3.6)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=130, bbox_inches="tight")
        figure.savefig(svg, format="svg", bbox_inches="tight")
        pyplot.close(figure)
    return Picture(title, CAPTIONS[title], png.getvalue(), svg.getvalue(), values=values)


@house_style
def draw_progress(progress: pd.DataFrame, name: str) -> "Figure":
    """Draw the best value so far over the epochs spent, a line of steps per strategy."""
    figure = make_figure(5.4, 3.0)
    axes = figure.subplots()
    labels = {"asha": "successive halving (ASHA)", "random": "random search"}
    for (strategy, line), colour in zip(
        progress.groupby("strategy", sort=False), (BLUE, ORANGE), strict=False
    ):
        axes.step(
            line["epochs"], line["best"], where="post", color=colour, marker="o", ms=3,
            label=labels.get(str(strategy), str(strategy)),
        )  # fmt: skip
    axes.set_xlabel("epochs spent")
    axes.set_ylabel(f"best {name} so far")
    axes.grid(axis="y")
    axes.legend(loc="best")
    return figure


def render_search(
    study: str,
    settings: StudySettings | TableStudySettings,
    plan: SearchPlan,
    sentence: str,
    strategies: pd.DataFrame,
    candidates: pd.DataFrame,
    pictures: Sequence[Picture],
    overlay: str,
) -> str:
    """Render one self-contained page.

    Parameters
    ----------
    study, settings, plan
        Name and settings of the study, and its search.
    sentence
        What was found.
    strategies, candidates
        Tables of :mod:`batteryscope.search.results`.
    pictures
        Figures in the order to show.
    overlay
        The best settings as YAML.
    """
    search = plan.settings
    rising = search.is_error
    order = candidates.assign(rank=candidates["state"].map({"complete": 0}).fillna(1))
    top = order.sort_values(["rank", "value"], ascending=[True, rising]).head(SHOWN_CANDIDATES)
    shown = pd.DataFrame(
        {
            "candidate": [
                f"{s} {c}" for s, c in zip(top["strategy"], top["candidate"], strict=True)
            ],
            name_metric(str(search.metric)): [f"{v:.4g}" for v in top["value"]],
            "epochs": [str(v) for v in top["epochs"]],
            "": [STATES.get(str(s).upper(), str(s)) for s in top["state"]],
            **{key: [show_value(v) for v in top[key]] for key in search.space},
        }
    )
    told = strategies.assign(
        strategy=strategies["strategy"].replace({"asha": "successive halving (ASHA)"}),
        seconds=[format_duration(s) for s in strategies["seconds"]],
        best=[f"{v:.4g}" for v in strategies["best"]],
    )
    told.columns = [str(c).replace("_", " ") for c in told.columns]
    context: dict[str, Any] = {
        "study": study,
        "settings": settings,
        "search": search,
        "sentence": sentence,
        "strategies": show_table(told),
        "candidates": show_table(shown, "", ("",)),
        "pictures": {picture.name: picture for picture in pictures},
        "overlay": overlay,
        "plan": plan,
        "generated": settings.dataset.generated,
    }
    return make_environment().get_template("search.html.j2").render(context)


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
