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
    generate
        Its ``generate(settings, out, workers, capacities)`` makes data; returns what, in words.
    ingest
        Its ``ingest(settings, dataset, simulated, physics)`` returns an
        :class:`~batteryscope.manifest.ingested.Ingested`.
    split
        Its ``divide(settings, manifest, frames, features)`` returns split and audit.
    evaluate
        Its ``describe_predictions(predictions)`` says what more is known of those of an arm.
    baselines
        Fits the baselines in a job of its own; empty: the comparison does.
    compare
        Its ``compare_study(layout, out)`` writes tables, metrics and findings.
    explain
        Its ``explain_study(layout, out)`` writes what the networks of all arms look at.
    report
        Its ``report_study(layout, out, workers)`` writes the report; returns the page's path.
    bundle
        Its ``bundle_models(layout, out)`` writes the bundle; returns its record.
    track
        Its ``plan_runs(layout, data_version)`` returns the runs that should stand in MLflow.
    score_points
        Its ``SCORER`` scores the points of sweeps.
    """

    generate: str
    ingest: str
    split: str
    evaluate: str
    baselines: str
    compare: str
    explain: str
    report: str
    bundle: str
    track: str
    score_points: str


CLASSES = StudyModules(
    generate="batteryscope.demo.write_dataset",
    ingest="batteryscope.manifest.ingest_pictures",
    split="batteryscope.splits.divide_pictures",
    evaluate="batteryscope.evaluation.calibration",
    baselines="batteryscope.evaluation.baselines",
    compare="batteryscope.evaluation.class_study",
    explain="batteryscope.explain.class_study",
    report="batteryscope.report.write",
    bundle="batteryscope.bundle.write",
    track="batteryscope.tracking.mirror",
    score_points="batteryscope.evaluation.class_points",
)
NUMBERS = StudyModules(
    generate="batteryscope.demo.write_dataset",
    ingest="batteryscope.manifest.ingest_pictures",
    split="batteryscope.splits.divide_pictures",
    evaluate="batteryscope.evaluation.regression_predictions",
    baselines="",
    compare="batteryscope.evaluation.regression_study",
    explain="batteryscope.explain.regression_study",
    report="batteryscope.report.regression_report",
    bundle="batteryscope.bundle.capacity_write",
    track="batteryscope.tracking.mirror",
    score_points="batteryscope.evaluation.number_points",
)
ROWS = StudyModules(
    generate="batteryscope.demo.write_table",
    ingest="batteryscope.tables.ingest_rows",
    split="batteryscope.tables.divide_rows",
    evaluate="",  # training leaves predictions
    baselines="",
    compare="batteryscope.tables.compare_study",
    explain="batteryscope.tables.explain_study",
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
