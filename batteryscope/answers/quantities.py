"""Quantities: numbers with names and units, points of a curve or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batteryscope.answers.kind import CLASS, GRADES, Answer, AnswerModules, BundleKind, LearntStage
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.predicted import choose_outputs
from batteryscope.core.baseline_catalogue import OF_QUANTITIES, Baseline
from batteryscope.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

LOSSES = ("mape", "mae", "mse")
_NO_CLASSES = "it is about classes, and the study predicts numbers"
_ALL_METHODS = "the maps of numbers are made by several methods for tiles of every class or range"
_NO_MASKS = "maps of numbers are not compared with masks"
_USELESS = {
    **dict.fromkeys(
        (
            "dataset.labels.grades", "train.label_smoothing", "evaluate.survey",
            "evaluate.survey_format", "evaluate.paper_classes", "evaluate.paper_accuracy",
            "explain.misclassified_tiles", "explain.polar_slices_per_class",
        ),
        _NO_CLASSES,
    ),
    **dict.fromkeys(
        ("explain.method", "explain.same_images", "explain.batch_size"), _ALL_METHODS
    ),
    **dict.fromkeys(("dataset.masks", "dataset.masks_show", "explain.mask_tiles"), _NO_MASKS),
    "evaluate.grey_levels_at_test": "only networks of classes are tested with other grey levels",
}  # fmt: skip
_OF_CAPACITIES = dict.fromkeys(
    ("physics", "evaluate.paper_ranges"),
    "it is about capacities over the C-rate, and the study predicts other numbers",
)


@dataclass(frozen=True)
class Quantities(Answer):
    """One or several numbers for every sample."""

    monitors = ("val_loss", "val_mape")
    others = "classes"
    versions = "batteryscope.evaluation.number_versions"
    needs_all_classes = False

    def find_baselines(self, dataset: DatasetSettings) -> Mapping[str, Baseline]:
        """Return all baselines, or those that are always there where no others can be asked for."""
        if dataset.targets.takes_more_baselines:
            return OF_QUANTITIES
        return {name: own for name, own in OF_QUANTITIES.items() if not own.is_asked_for}

    def find_useless(self, dataset: DatasetSettings) -> Mapping[str, str]:
        """Return what is for classes alone, and what for capacities if it predicts others."""
        is_curve = all(quantity.axis for quantity in dataset.quantities)
        return _USELESS if is_curve else _USELESS | _OF_CAPACITIES

    def find_metric(self, stage: LearntStage) -> str:
        """Return the mean percentage error, the loss where a number may be 0."""
        return "val_loss" if stage.zero_targets else "val_mape"

    def find_learnt(
        self, dataset: DatasetSettings, outputs: str | Sequence[str]
    ) -> dict[str, list[str]]:
        """Return the numbers, those that are learnt by their logarithm, and those that may be 0."""
        if outputs in (CLASS, GRADES):
            raise ValueError(
                f"the study predicts numbers (dataset.targets), but model.outputs is '{outputs}'; "
                "say 'all', or name the quantities."
            )
        chosen = choose_outputs(dataset.quantities, outputs)
        return {
            "targets": [q.name for q in chosen],
            "log_targets": [q.name for q in chosen if q.transform == "log"],
            "zero_targets": [q.name for q in chosen if "mape" not in q.metrics],
        }

    def describe_outputs(self, outputs: str | Sequence[str]) -> str:
        """Return the unit of capacities, or that the names tell it."""
        return outputs if isinstance(outputs, str) else "all"

    def list_outputs(self, stage: LearntStage, manifest: "pd.DataFrame") -> list[str]:
        """Return the numbers that the stage learns."""
        return list(stage.targets)

    def find_truth(self, outputs: Sequence[str], manifest: "pd.DataFrame") -> "pd.DataFrame":
        """Return the values, each in its unit."""
        return manifest.set_index("sample_id")[list(outputs)]

    def check_stage(self, stage: LearntStage) -> None:
        """Refuse what is for classes, and percentages of 0."""
        if stage.train.loss not in LOSSES:
            raise ValueError(
                f"train.loss '{stage.train.loss}' is for classes, but model.outputs is "
                f"'{stage.model.outputs}'; choose mape, mae or mse."
            )
        self.check_monitor(stage.train.monitor)
        if stage.train.method == "discriminant":
            raise ValueError(
                "train.method 'discriminant' is for classes; solve numbers by 'ridge', or train "
                "them by 'gradient'."
            )
        if stage.zero_targets:
            _refuse_percentages(stage)

    def check_external(self, data: DatasetSettings, external: DatasetSettings, key: str) -> None:
        """Refuse generated pictures beside measured ones, and a set without the numbers."""
        if data.path is not None and external.path is None:
            raise ConfigError(
                f"{key}: it is generated, but the images of the study are your own "
                f"('{data.path}'), so it would prove nothing; name a folder in path, or write "
                "'external: null'."
            )
        known = [quantity.name for quantity in external.quantities]
        if lacking := [q.name for q in data.quantities if q.name not in known]:
            raise ConfigError(
                f"{key}.targets: '{lacking[0]}' is missing; an external data set needs "
                f"{data.described_targets}."
            )


def _refuse_percentages(stage: LearntStage) -> None:
    used = {"train.loss": stage.train.loss == "mape"}
    used["train.monitor"] = stage.train.monitor == "val_mape"
    for key, is_percentage in used.items():
        if is_percentage:
            other = "mae or mse" if key == "train.loss" else "val_loss"
            raise ValueError(
                f"{key} is a percentage of the true value, but '{stage.zero_targets[0]}' may be "
                f"0; choose {other}, or state a range of it (low above 0) in "
                "dataset.targets.quantities."
            )


QUANTITIES = Quantities(
    name="quantities",
    noun="numbers",
    modules={
        "tiles": AnswerModules(
            evaluate="batteryscope.evaluation.number_predictions",
            baselines="",
            compare="batteryscope.evaluation.number_study",
            explain="batteryscope.explain.number_study",
            report="batteryscope.report.number_report",
            bundle="batteryscope.bundle.number_write",
            track="batteryscope.tracking.picture_runs",
            score_points="batteryscope.evaluation.number_points",
            external="batteryscope.bundle.external_numbers",
            apply="batteryscope.bundle.apply_numbers",
        ),
        "rows": AnswerModules(
            evaluate="",  # training leaves predictions
            baselines="",
            compare="batteryscope.tables.compare_study",
            explain="batteryscope.tables.explain_study",
            report="batteryscope.report.table_report",
            bundle="batteryscope.tables.bundle_write",
            track="batteryscope.tracking.row_runs",
            score_points="batteryscope.tables.score_points",
        ),
    },
    bundles={
        "tiles": BundleKind(("capacity", "quantities"), "batteryscope.bundle.number_record"),
        "rows": BundleKind(("table",), "batteryscope.tables.bundle_record"),
    },
)
