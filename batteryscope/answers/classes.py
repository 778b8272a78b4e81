"""Classes, with an order or without: grades are classes in order, and differ by their head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batteryscope.answers.kind import CLASS, GRADES, Answer, AnswerModules, BundleKind, LearntStage
from batteryscope.config.dataset import DatasetSettings
from batteryscope.core.baseline_catalogue import OF_CLASSES, Baseline

if TYPE_CHECKING:
    import pandas as pd

LOSSES_OF_NUMBERS = ("mape", "mae", "mse")
_OF_CAPACITIES = "it is about capacities, and the study predicts classes"
_USELESS = {
    "evaluate.paper_ranges": _OF_CAPACITIES,
    "physics": _OF_CAPACITIES,
    "explain.phases": "maps of classes are compared with masks (dataset.masks), not with phases",
    **dict.fromkeys(
        ("explain.window_px", "explain.integration_steps", "explain.occlusion_arms"),
        "classes are explained by one method (explain.method), which neither covers squares nor "
        "integrates",
    ),
}


@dataclass(frozen=True)
class Classes(Answer):
    """One of a few names for every sample."""

    monitors = ("val_accuracy", "val_loss")
    others = "numbers"
    versions = "batteryscope.evaluation.class_versions"
    needs_all_classes = True

    def find_baselines(self, dataset: DatasetSettings) -> Mapping[str, Baseline]:
        """Return the baselines of classes."""
        return OF_CLASSES

    def find_useless(self, dataset: DatasetSettings) -> Mapping[str, str]:
        """Return what is for numbers alone."""
        return _USELESS

    def find_metric(self, stage: LearntStage) -> str:
        """Return the accuracy."""
        return "val_accuracy"

    def find_learnt(
        self, dataset: DatasetSettings, outputs: str | Sequence[str]
    ) -> dict[str, list[str]]:
        """Return the order of the classes, if that shall be learnt."""
        if outputs != GRADES:
            return {}
        if not dataset.labels.grades:
            raise ValueError(
                "model.outputs is 'grades', but the classes have no order; list them from the "
                "lowest to the highest in dataset.labels.grades."
            )
        return {"grades": dataset.labels.grades}

    def describe_outputs(self, outputs: str | Sequence[str]) -> str:
        """Return the same for grades, which have the probabilities of classes."""
        return CLASS

    def list_outputs(self, stage: LearntStage, manifest: "pd.DataFrame") -> list[str]:
        """Return all classes, sorted, whichever of them the stage sees."""
        return sorted(manifest["class"].unique())

    def find_truth(self, outputs: Sequence[str], manifest: "pd.DataFrame") -> "pd.Series":
        """Return the number of the class."""
        labels = manifest.set_index("sample_id")["class"]
        return labels.map({name: number for number, name in enumerate(outputs)})

    def check_stage(self, stage: LearntStage) -> None:
        """Refuse what is for numbers."""
        is_other = stage.model.outputs not in (CLASS, GRADES)
        if is_other or stage.train.loss in LOSSES_OF_NUMBERS:
            found = (
                f"model.outputs '{stage.model.outputs}'"
                if is_other
                else f"train.loss '{stage.train.loss}'"
            )
            raise ValueError(
                f"{found} is for numbers; name them in dataset.targets and model.outputs, or "
                "take model.outputs 'class' and train.loss 'cross_entropy'."
            )
        self.check_monitor(stage.train.monitor)
        if stage.train.method == "ridge":
            raise ValueError(
                "train.method 'ridge' is for numbers; solve classes by 'discriminant', or train "
                "them by 'gradient'."
            )
        if stage.grades and stage.train.method == "discriminant":
            raise ValueError(
                "train.method 'discriminant' solves one output per class; train grades by "
                "'gradient'."
            )
        if stage.train.penalty != "none" or stage.train.adversarial_noise:
            raise ValueError(
                "train.penalty and train.adversarial_noise are for numbers; leave them out."
            )

    def check_external(self, data: DatasetSettings, external: DatasetSettings, key: str) -> None:
        """Refuse nothing: the labels of both are compared for all answers."""


CLASSES = Classes(
    name="classes",
    noun="classes",
    modules={
        "tiles": AnswerModules(
            evaluate="batteryscope.evaluation.calibration",
            baselines="batteryscope.evaluation.baselines",
            compare="batteryscope.evaluation.class_study",
            explain="batteryscope.explain.class_study",
            report="batteryscope.report.write",
            bundle="batteryscope.bundle.write",
            track="batteryscope.tracking.picture_runs",
            score_points="batteryscope.evaluation.class_points",
            external="batteryscope.bundle.external",
            apply="batteryscope.bundle.apply_classes",
        )
    },
    bundles={"tiles": BundleKind(("",), "batteryscope.bundle.record")},
)
