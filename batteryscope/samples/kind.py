"""What the rest of the house asks about samples, whatever they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batteryscope.core.baseline_catalogue import Need


@dataclass(frozen=True, kw_only=True)
class SampleModules:
    """Who does what depends on the samples alone, as text: a program loads what it needs.

    Attributes
    ----------
    generate
        Its ``generate(settings, out, workers, capacities)`` makes data; returns what, in words.
    ingest
        Its ``ingest(settings, dataset, simulated, physics, cache)`` returns an
        :class:`~batteryscope.manifest.ingested.Ingested`.
    split
        Its ``divide(settings, manifest, frames, features)`` returns split and audit.
    train
        Its ``train(job)`` trains what a :class:`~batteryscope.planning.training_job.TrainingJob`
        says, and lets it predict.
    search
        Its ``find_search(study, settings)`` plans the search for settings; None if there is none.
    predict
        Its ``open_batch(asked)`` opens a published model and what it shall judge.
    """

    generate: str
    ingest: str
    split: str
    train: str
    search: str
    predict: str


# Pictures of whatever kind are made, read, divided and answered by the same modules.
PICTURE_MODULES = SampleModules(
    generate="batteryscope.demo.write_dataset",
    ingest="batteryscope.manifest.ingest_pictures",
    split="batteryscope.splits.divide_pictures",
    train="batteryscope.evaluation.train_tiles",
    search="batteryscope.search.plan_search",
    predict="batteryscope.bundle.predict_pictures",
)

# Why maps are not made so.
NO_CORE = "only slices of scans (preprocess.method ct_slices) have a core to turn around"
NO_COATING = "only coatings that were straightened (preprocess.method coating_crop) have phases"

# What is said to models of pictures; whether they look for a collector they know themselves.
PICTURE_OPTIONS = (
    "images", "covariates", "sample_column", "written", "device", "batch_size", "collector",
)  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """One kind of thing that is looked at.

    Attributes
    ----------
    name
        What kind it is.
    noun, plural
        What one sample is called, and several.
    given, goes_in
        What a user gives for a prediction, such as ``a picture``; at the start of a sentence, and
        of a model's card.
    levels
        At which samples are judged, from the smallest part to the independent unit.
    unit, group
        What the parts of one thing are called that a split must keep together: in settings, and in
        sentences about groups that were found.
    learnt_from
        What networks are trained on: ``tiles`` of pictures or ``rows``. Who describes, compares
        and explains answers depends on it (:attr:`batteryscope.answers.kind.Answer.modules`).
    modules
        Who makes, reads, divides and searches them.
    methods
        Values of ``preprocess.method`` that are for them.
    offers
        What baselines can be given.
    useless
        Settings of a study that have no effect on them, by dotted key, and why.
    columns
        Columns of the manifest that only these samples have.
    file_column
        The one that names their file.
    are_files
        Whether one file is one sample, so that files can be counted before they are read.
    not_external
        Why they cannot be an external data set; empty if they can.
    options
        What a user may say who asks a published model about them
        (:class:`batteryscope.bundle.batch.Asked`), first what shall be judged.
    """

    name: str
    noun: str
    plural: str
    given: str
    goes_in: str
    levels: tuple[str, ...]
    unit: str
    group: str
    learnt_from: str
    modules: SampleModules
    methods: tuple[str, ...] = ()
    offers: frozenset[Need] = field(default_factory=frozenset)
    useless: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    file_column: str = "path"
    are_files: bool = True
    not_external: str = ""
    options: tuple[str, ...] = PICTURE_OPTIONS

    @property
    def several(self) -> str:
        """Several of what a user gives for a prediction."""
        return self.given.removeprefix("a ") + "s"

    def find_unit(self, dataset: Any, group: str) -> str:
        """Return what a split will keep together, as far as settings tell.

        Names in a label table are not looked up; there ``auto`` counts as single samples.
        """
        pattern = dataset.labels.pattern if dataset.labels.source == "folders" else None
        named = re.compile(pattern).groupindex if pattern and dataset.path is not None else {}
        wanted = (self.unit, "session") if group == "auto" else (group,)
        return next((unit for unit in wanted if f"{unit}_id" in named), self.noun)

    def explain_misfit(self, cut: "Samples", method: str, arm: str) -> str:
        """Say why a method that is for the samples ``cut`` does not fit; empty if it does.

        Any picture may be cut as any other one.
        """
        if cut.are_files == self.are_files:
            return ""
        return (
            f"'{method}' (arm '{arm}') needs scans; add 'volumes: {{}}' to the data set, or choose "
            "another method."
        )
