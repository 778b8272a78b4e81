"""A bundle of numbers beside specimens from elsewhere whose numbers are known."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from batteryscope.bundle.number_bundle import NumberBundle
from batteryscope.bundle.read import load_number_bundle
from batteryscope.errors import InputError, LeakageError
from batteryscope.evaluation.number_external import (
    describe_quantities,
    flatten_external,
    gather_external,
    say_external_coverage,
    score_external_numbers,
)
from batteryscope.evaluation.number_predictions import TRUE


def open_external(
    folder: Path, label_columns: Sequence[str], device: torch.device | str
) -> "ExternalNumbers":
    """Load a bundle of numbers, to which label columns say nothing."""
    del label_columns
    return ExternalNumbers(load_number_bundle(folder, device))


class ExternalNumbers:
    """Checks, joins and scores an external data set for a bundle of numbers."""

    def __init__(self, bundle: NumberBundle) -> None:
        self.bundle = bundle
        self.arms = {target.name: target.arm for target in bundle.record.targets}
        self.quantities = [target.quantity for target in bundle.record.targets]

    def check(self, manifest: pd.DataFrame) -> None:
        """Refuse a set without these numbers, or with specimens of the training.

        Raises
        ------
        InputError
            A number that the bundle predicts is missing.
        LeakageError
            A specimen was used for training, even if these images of it were not.
        """
        if missing := [name for name in self.arms if name not in manifest]:
            raise InputError(
                f"The external data set has no {missing[0]}, which the models predict; give it "
                "those of the study (evaluate.external.targets)."
            )
        known = self.bundle.training_images
        roles = known[[member.column for member in self.bundle.record.members]]
        used = roles.isin(["train", "validation"]).any(axis=1)
        seen = set(known.loc[used, "specimen_id"]) - {""} if "specimen_id" in known else set()
        if again := sorted(seen & set(manifest["specimen_id"].dropna())):
            raise LeakageError(
                f"The specimen '{again[0]}' of the external data set was used to train or tune "
                "the models, so it proves nothing; take it out, or, if it is another specimen, "
                "give it another name."
            )

    def join(self, rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
        """Put the measured capacities before the prediction rows, in the order of the manifest."""
        keys = manifest[["sample_id", "specimen_id", "class"]].reset_index(drop=True)
        keys["specimen_id"] = keys["specimen_id"].fillna(keys["sample_id"])
        truth = manifest[list(self.arms)].reset_index(drop=True).add_prefix(TRUE)
        return pd.concat([keys, truth, rows.reset_index(drop=True)], axis=1)

    def score(self, judged: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
        """Score the joined rows that have a prediction."""
        return score_external_numbers(gather_external(judged, self.arms), self.quantities)

    def flatten(self, scores: pd.DataFrame) -> dict[str, float | int]:
        """Return the scores by name."""
        return flatten_external(scores)

    def describe(self, scores: pd.DataFrame) -> list[str]:
        """Say the main numbers in lines for the terminal."""
        lines = describe_quantities(
            scores, [quantity for quantity in self.quantities if not quantity.relative]
        )
        overall = scores[(scores["target"] == "") & (scores["domain"] == "")]
        errors = overall[(overall["metric"] == "mape") & (overall["level"] == "image")]
        wanted = {target.arm: target.coverage_wanted for target in self.bundle.record.targets}
        judged = {target.arm for target in self.bundle.record.targets if target.quantity.relative}
        for row in errors[errors["arm"].isin(judged)].to_dict("records"):
            arm = str(row["arm"])
            said = say_external_coverage(scores, arm, wanted[arm], self.quantities)
            line = f"{arm}: mean error {row['value']:.1f} % of {row['n']} external images. {said}"
            lines.append(line.strip())
        return lines
