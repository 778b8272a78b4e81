"""A study of tables: transfer between domains with very small networks."""

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from batteryscope.config.base import Settings
from batteryscope.config.evaluate import PaperDistribution, PaperOrder, PaperValue
from batteryscope.config.search import SearchSettings
from batteryscope.config.sweep import (
    SweepPoint,
    SweepSettings,
    check_each_set_once,
    check_key,
    check_sweeps,
    expand_sweeps,
)
from batteryscope.config.table_data import ColumnName, TableDatasetSettings
from batteryscope.core.baseline_catalogue import RowBaseline

SweepName = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
Share = Annotated[float, Field(gt=0, lt=1)]
NetworkArm = Literal["pretrained", "adapter", "scratch", "fine_tuning"]
ProcessArm = Literal["pretrained_process", "transfer_process"]
TableArm = NetworkArm | ProcessArm
DEFAULT_ARM: ProcessArm = "transfer_process"


class TableSplitSettings(Settings):
    """Random divisions of the rows of every domain by itself.

    ``validation_fraction`` counts from what is left after the test part.
    """

    repeats: PositiveInt = 5
    test_fraction: Share = 0.3
    validation_fraction: Share = 0.1
    seed: int = 1


class NetworkSettings(Settings):
    """A multilayer perceptron (ReLU) and the adapter that transfer adds.

    ``hidden_layers`` of ``nodes`` each. The adapter is one hidden layer of
    ``adapter_nodes`` (by default ``nodes``) that reads the frozen network's output.
    """

    hidden_layers: PositiveInt = 3
    nodes: PositiveInt = 3
    adapter_nodes: PositiveInt | None = None


class TableTrainSettings(Settings):
    """Optimisation of all networks: Adam on the mean absolute percentage error.

    Of ``restarts`` random initialisations, each at the epoch of its lowest validation error, the
    one with the lowest error of training and validation rows together is kept.
    """

    epochs: PositiveInt = 250
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 0.01
    restarts: PositiveInt = 3
    seed: int = 1


class AblationSettings(Settings):
    """How the error depends on the number of rows and on the split.

    ``source_rows`` and ``target_rows`` are numbers of training rows (all rows are always
    measured as well), ``test_fractions`` other split ratios; empty lists leave them out.
    """

    named_once: ClassVar[tuple[str, ...]] = ("source_rows", "target_rows", "test_fractions")

    source_rows: list[PositiveInt] = []
    target_rows: list[PositiveInt] = []
    test_fractions: list[Share] = []


class TableSearchSettings(SearchSettings):
    """Asynchronous successive halving (ASHA) over settings of very small networks.

    ``space`` names settings of ``networks`` and ``train``; ``networks.nodes`` holds for the
    networks of all targets, ``networks.<target>.nodes`` for that of one. A candidate is ``arm``
    (the main one) with the source network behind it, trained on the first repeat with at most
    ``max_epochs`` each. After ``min_epochs``, and after every further ``reduction_factor``-fold
    number, the source networks are judged by the validation rows of the source domain, and the
    best go on. ``metric``, after the last epoch, is the mean over all targets and target domains
    of the MAPE of the validation rows.
    """

    min_epochs: PositiveInt = 2
    max_epochs: PositiveInt = 20
    metric: Literal["val_mape"] = "val_mape"


class TableRecipe(Settings):
    """What a sweep of a table study may change; ``networks`` stands for those of all targets."""

    split: TableSplitSettings
    networks: NetworkSettings
    train: TableTrainSettings


class TableEvaluateSettings(Settings):
    """Baselines, coverage of the intervals, published values.

    ``false_alarms``: so many new rows like those of the training may be called unlike them.
    ``paper_data``: the files that the ``paper`` took its values from; they stand beside no others.
    ``paper_orders``: its features by importance, beside the order of their SHAP values here.
    ``paper_distributions``: mean, lowest and highest value of its targets, beside those here.
    """

    named_once: ClassVar[tuple[str, ...]] = ("baselines",)

    baselines: list[RowBaseline] = [
        "mean",
        "linear",
        "ridge",
        "random_forest",
        "gradient_boosting",
        "gaussian_process",
    ]
    coverage: Share = 0.9
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] | None = 0.05
    paper: list[PaperValue] = []
    paper_orders: list[PaperOrder] = Field(default=[], exclude_if=lambda value: not value)
    paper_distributions: list[PaperDistribution] = Field(
        default=[], exclude_if=lambda value: not value
    )
    paper_data: list[str] = []


class TableExplainSettings(Settings):
    """SHAP values: ``rows`` shown one by one per domain, ``background`` rows averaged over.

    ``chosen`` names rows to show instead, as file and line: ``electrodes.csv:17``.
    """

    named_once: ClassVar[tuple[str, ...]] = ("chosen",)

    rows: PositiveInt = 2
    chosen: list[Annotated[str, Field(pattern=r".:[1-9][0-9]*$")]] = []
    background: PositiveInt = 50


class ProposeSettings(Settings):
    """The inverse question: which settings give wanted values of the targets.

    ``wanted`` holds a value per target; ``domain`` the material; ``trials`` the budget. With
    ``model: best`` the baseline that errs less than the network on test rows answers instead of it.
    """

    domain: str
    wanted: dict[ColumnName, float] = Field(min_length=1)
    model: Literal["best", "network"] = "best"
    trials: PositiveInt = 400
    proposals: PositiveInt = 8
    seed: int = 1


class TableStudySettings(Settings):
    """One entry of ``studies`` in params.yaml whose data are tables (``kind: table``).

    ``networks`` gives every target its network. ``demo`` is an overlay of the same shape
    that applies at ``scale: demo``. ``sweeps`` take settings of ``split``, ``networks`` and
    ``train``: ``networks.nodes`` changes the networks of all targets,
    ``networks.<target>.nodes`` that of one. A sweep follows one ``arm``, by default
    ``network_arm``, and the source network behind it; so does the ``search``, among settings of
    ``networks`` and ``train``. ``main_arm`` is ``adapter`` where ``arms`` are stated without
    ``transfer_process``. ``based_on``:
    the study whose design this one takes (:mod:`batteryscope.config.own_study`). ``paper_role``:
    whether the data are the paper's, too, or its design alone; told by the data if not stated.
    """

    # What a study that takes this one's design, but has other data, does not take of each section.
    told_of_data: ClassVar[Mapping[str, Collection[str]]] = {
        "dataset": ("name", "files", "generator"),
        "explain": ("chosen",),
    }
    named_once: ClassVar[tuple[str, ...]] = ("arms", "run_sweeps")

    kind: Literal["table"]
    based_on: str | None = None
    title: str
    paper: str = ""
    paper_role: Literal["source", "design"] = "source"
    paper_doi: str = ""
    dataset: TableDatasetSettings
    split: TableSplitSettings = TableSplitSettings()
    networks: dict[ColumnName, NetworkSettings]
    train: TableTrainSettings = TableTrainSettings()
    arms: list[TableArm] = [
        "pretrained",
        "adapter",
        "scratch",
        "fine_tuning",
        "pretrained_process",
        "transfer_process",
    ]
    main_arm: TableArm = DEFAULT_ARM
    ablations: AblationSettings = AblationSettings()
    evaluate: TableEvaluateSettings = TableEvaluateSettings()
    explain: TableExplainSettings = TableExplainSettings()
    propose: ProposeSettings | None = None
    sweeps: dict[SweepName, SweepSettings] = {}
    run_sweeps: list[str] = []
    search: TableSearchSettings | None = None
    demo: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _main_arm_is_an_arm(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "main_arm" in values or not values.get("arms"):
            return values
        return values if DEFAULT_ARM in values["arms"] else values | {"main_arm": "adapter"}

    @model_validator(mode="before")
    @classmethod
    def _targets_have_networks(cls, values: Any) -> Any:
        """Give every target one of the usual size where no networks are stated."""
        if not isinstance(values, dict) or "networks" in values:
            return values
        dataset = values.get("dataset")
        targets = dataset.get("targets") if isinstance(dataset, dict) else None
        return values | {"networks": {name: {} for name in targets}} if targets else values

    @model_validator(mode="after")
    def _targets_match(self) -> Self:
        targets = set(self.dataset.targets)
        if missing := sorted(targets - set(self.networks)):
            raise ValueError(f"networks lacks the target '{missing[0]}'; give it a network.")
        if unknown := sorted(set(self.networks) - targets):
            raise ValueError(f"networks names '{unknown[0]}', which is none of the targets.")
        for told in self.evaluate.paper_distributions:
            if told.target not in targets:
                raise ValueError(
                    f"evaluate.paper_distributions names '{told.target}', which is no target of "
                    "the data set; correct the name."
                )
        for order in self.evaluate.paper_orders:
            wrong = sorted({order.target} - targets) + sorted(
                set(order.features) - set(self.dataset.features)
            )
            if wrong:
                raise ValueError(
                    f"evaluate.paper_orders names '{wrong[0]}', which is no target or feature of "
                    "the data set; correct the name."
                )
        if self.main_arm not in self.arms:
            raise ValueError(f"main_arm '{self.main_arm}' is none of the arms {self.arms}.")
        if self.propose and (unknown := sorted(set(self.propose.wanted) - targets)):
            raise ValueError(f"propose.wanted names '{unknown[0]}', which is none of the targets.")
        return self

    @model_validator(mode="after")
    def _sweeps_are_possible(self) -> Self:
        check_sweeps(
            self.sweeps,
            self.run_sweeps,
            self.arms,
            self.network_arm,
            self.arms,
            check=self._check_swept,
            spread=self.spread_key,
        )
        for name in self.run_sweeps:
            self._check_effect(self.sweeps[name].arm, self.sweeps[name].grid, f"sweeps.{name}")
        if self.search is not None:
            self._check_effect(self.search.arm, self.search.space, "search")
            self.search.check_space(("networks", "train"), self._check_swept, self.arms)
            check_each_set_once(self.search.space, self.spread_key, "search.space: ")
        return self

    def _check_effect(self, arm: str | None, keys: Iterable[str], where: str) -> None:
        """Refuse settings of networks that a Gaussian process does not have."""
        arm = arm or self.network_arm
        idle = [key for key in keys if not key.startswith("split.")]
        if arm in get_args(ProcessArm) and idle:
            raise ValueError(
                f"{where}: '{idle[0]}' changes nothing in '{arm}', which is a Gaussian process; "
                "name an arm of networks, for example arm: adapter."
            )

    @property
    def network_arm(self) -> str:
        """The arm of sweeps and searches that name none: the main one, or a trained network."""
        networks = [arm for arm in get_args(NetworkArm) if arm in self.arms and arm != "pretrained"]
        is_network = self.main_arm in get_args(NetworkArm) or not networks
        return self.main_arm if is_network else networks[0]

    def spread_key(self, key: str) -> list[str]:
        """Return the settings that a swept key changes: ``networks.nodes`` is of all targets."""
        section, _, name = key.partition(".")
        if section != "networks" or "." in name:
            return [key]
        return [f"networks.{target}.{name}" for target in self.networks]

    def _check_swept(self, key: str) -> None:
        if key.startswith("dataset."):
            raise ValueError(f"'{key}' cannot be swept, since all points share one table.")
        for target in self.networks:
            if key.startswith(f"networks.{target}."):
                key = key.replace(f"{target}.", "", 1)
        check_key(key, TableRecipe)

    @property
    def data_origin(self) -> str:
        """Where the user's tables lie; "" where they are generated."""
        return "; ".join(sorted({os.path.normpath(file.path) for file in self.dataset.files}))

    @property
    def paper_of_data(self) -> str:
        """The paper whose data these are, or that generated ones imitate; "" if there is none."""
        return self.paper if self.paper_role == "source" else ""

    @property
    def sweep_points(self) -> list[SweepPoint]:
        """The points of all sweeps that are switched on, in the order of ``sweeps``."""
        return expand_sweeps(self.sweeps, self.run_sweeps, self.network_arm)

    def keep_sections(self, *sections: str) -> Self:
        """Return these settings with only the data and some sections; the rest is as by default.

        A job that gets no more than it depends on is not repeated when the rest changes.
        """
        kept = self.model_dump(mode="json", include={"kind", "dataset", "networks", *sections})
        return type(self).model_validate(kept | {"title": ""})
