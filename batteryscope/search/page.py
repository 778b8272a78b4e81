"""The page of a search."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.style import Picture
from batteryscope.report.html import make_environment
from batteryscope.report.shown_table import show_table
from batteryscope.report.tables import format_duration
from batteryscope.search.plan import SearchPlan
from batteryscope.search.results import STATES, name_metric

SHOWN_CANDIDATES = 15


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
            **{key: [_show(v) for v in top[key]] for key in search.space},
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


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
