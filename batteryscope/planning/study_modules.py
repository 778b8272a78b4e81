"""Which module does a verb for a kind of study: the one place that names implementations.

Names, not imports: a program loads the one module that its study needs, and a rule declares that
module with all that it imports. An edit there concerns the studies whose module it is, no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class StudyModules:
    """The modules of one kind of study.

    Attributes
    ----------
    report
        Its ``report_study(layout, out, workers)`` writes the report; returns the page's path.
    bundle
        Its ``bundle_models(layout, out)`` writes the bundle; returns its record.
    track
        Its ``plan_runs(layout, data_version)`` returns the runs that should stand in MLflow.
    score_points
        Its ``SCORER`` scores the points of sweeps.
    """

    report: str
    bundle: str
    track: str
    score_points: str


CLASSES = StudyModules(
    report="batteryscope.report.write",
    bundle="batteryscope.bundle.write",
    track="batteryscope.tracking.mirror",
    score_points="batteryscope.evaluation.class_points",
)
NUMBERS = StudyModules(
    report="batteryscope.report.regression_report",
    bundle="batteryscope.bundle.capacity_write",
    track="batteryscope.tracking.mirror",
    score_points="batteryscope.evaluation.number_points",
)
ROWS = StudyModules(
    report="batteryscope.report.table_report",
    bundle="batteryscope.tables.bundle_write",
    track="batteryscope.tracking.table_mirror",
    score_points="batteryscope.tables.score_points",
)

# Who lists the runs of sweeps and of searches, whatever the study.
TRACK_SWEEPS = "batteryscope.tracking.sweep_mirror"
TRACK_SEARCH = "batteryscope.tracking.search_mirror"


def load_function(module: str, name: str) -> Callable[..., Any]:
    """Load a module and return what it does under the name that all of its kind share."""
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
