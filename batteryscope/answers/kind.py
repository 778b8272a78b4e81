"""What the rest of the house asks about answers, whatever they are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.learning import ModelSettings, TrainSettings
from batteryscope.core.baseline_catalogue import Baseline

if TYPE_CHECKING:  # who asks only about settings need not wait for pandas
    import pandas as pd


# What ``model.outputs`` may be where classes are predicted, without an order or with one.
CLASS, GRADES = "class", "grades"


@dataclass(frozen=True, kw_only=True)
class AnswerModules:
    """Who does what depends on the answer, as text: a program loads what it needs.

    Attributes
    ----------
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
    external
        Its ``open_external(bundle, label_columns, device)`` judges data from elsewhere.
    apply
        Opens and applies a bundle of pictures: ``load_models``, ``draw_beside``.
    """

    evaluate: str
    baselines: str
    compare: str
    explain: str
    report: str
    bundle: str
    track: str
    score_points: str
    external: str = ""
    apply: str = ""


@dataclass(frozen=True)
class BundleKind:
    """How published models call themselves, and who reads what they say of themselves.

    Attributes
    ----------
    names
        What ``kind`` is in bundle.json; "": there is no such key.
    record
        Module whose ``read_record(folder)`` reads bundle.json.
    """

    names: tuple[str, ...]
    record: str


class LearntStage(Protocol):
    """What the settings of a training stage say about its answers."""

    @property
    def targets(self) -> Sequence[str]:
        """The numbers that it learns."""

    @property
    def zero_targets(self) -> Sequence[str]:
        """Those that may be 0."""

    @property
    def grades(self) -> Sequence[str]:
        """Classes in their order."""

    @property
    def model(self) -> ModelSettings:
        """The network."""

    @property
    def train(self) -> TrainSettings:
        """Its training."""


@dataclass(frozen=True)
class Answer(ABC):
    """One kind of answer.

    Attributes
    ----------
    name
        What kind it is.
    noun
        What is predicted, in a sentence.
    modules
        Who does what, by what networks are trained on
        (:attr:`batteryscope.samples.kind.Samples.learnt_from`).
    bundles
        What published models are like, by the same.
    """

    name: str
    noun: str
    modules: Mapping[str, AnswerModules]
    bundles: Mapping[str, BundleKind] = field(default_factory=dict)

    # What ``train.monitor`` and the metric of a search may be, and what the others are for.
    monitors: ClassVar[tuple[str, ...]]
    others: ClassVar[str]
    # Says how good the answers of two versions of a study are, and which changed.
    versions: ClassVar[str]
    # Whether every class must train, since each is an output.
    needs_all_classes: ClassVar[bool]

    @abstractmethod
    def find_baselines(self, dataset: DatasetSettings) -> Mapping[str, Baseline]:
        """Return the baselines that a study of pictures knows, by name."""

    @abstractmethod
    def find_useless(self, dataset: DatasetSettings) -> Mapping[str, str]:
        """Return the settings of a study of pictures without effect, by dotted key, and why."""

    @abstractmethod
    def find_metric(self, stage: LearntStage) -> str:
        """Return by what candidates of a search are judged if nobody says otherwise."""

    @abstractmethod
    def find_learnt(
        self, dataset: DatasetSettings, outputs: str | Sequence[str]
    ) -> dict[str, list[str]]:
        """Return what a training stage learns, as settings of it.

        Parameters
        ----------
        dataset
            Which answers there are.
        outputs
            ``model.outputs``: which of them are wanted.

        Raises
        ------
        ValueError
            The data set does not have them.
        """

    @abstractmethod
    def describe_outputs(self, outputs: str | Sequence[str]) -> str:
        """Return how a network that is stored calls what it gives."""

    @abstractmethod
    def list_outputs(self, stage: LearntStage, manifest: "pd.DataFrame") -> list[str]:
        """Return the names of what a network gives, in their order.

        Parameters
        ----------
        stage
            What it learns.
        manifest
            Sample table.
        """

    @abstractmethod
    def find_truth(
        self, outputs: Sequence[str], manifest: "pd.DataFrame"
    ) -> "pd.Series | pd.DataFrame":
        """Return what is right for every sample, by ``sample_id``.

        Parameters
        ----------
        outputs
            Of :meth:`list_outputs`.
        manifest
            Sample table.

        Returns
        -------
        Series or DataFrame
            The place of the right output, or a column per output.
        """

    @abstractmethod
    def check_stage(self, stage: LearntStage) -> None:
        """Refuse settings of a training that do not go with the answer.

        Raises
        ------
        ValueError
            One sentence: what was found, and what to choose.
        """

    @abstractmethod
    def check_external(self, data: DatasetSettings, external: DatasetSettings, key: str) -> None:
        """Refuse an external data set that does not know what the models predict.

        Raises
        ------
        ConfigError
            One sentence that begins with ``key``.
        """

    def check_monitor(self, monitor: str) -> None:
        """Refuse a measure of the validation that other answers have.

        Raises
        ------
        ValueError
            Naming those that there are.
        """
        if monitor not in self.monitors:
            own = " and ".join(f"'{name}'" for name in self.monitors)
            raise ValueError(
                f"train.monitor '{monitor}' is for {self.others}; {self.noun} have {own}; set one "
                "of them."
            )
