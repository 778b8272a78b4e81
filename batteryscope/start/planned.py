"""A plan, and what all plans have in common: samples that are left out, and the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.samples.choose import samples_in
from batteryscope.start.choices import Choices
from batteryscope.start.machine import Machine, TileCost
from batteryscope.start.seen import Problem, Seen

FEWEST_SAMPLES = 3  # of a class: one each for training, validation and test
REPORT_SECONDS = 60.0  # of one core: baselines, explanations, report
# Why settings are as they are that most plans take from what is recommended.
USUAL_REASONS = {
    "augment.rotation_deg": "the others change a picture enough",
    "augment.shift": "the others change a picture enough",
    "augment.scale": "the scale is known",
    "augment.scale_per_axis": "the scale is known",
    "model.weights": "they come with the installation",
    "model.pooling": "texture: how strong and how uneven structures are anywhere, not where",
    "train.optimiser": "usual for fine-tuning",
    "train.learning_rate": "the top of one cycle",
    "train.weight_decay": "AdamW's usual one",
    "train.schedule": "rises, then falls to zero: a few epochs suffice",
    "train.label_smoothing": "less sure of single labels",
    "train.averaging_decay": "of about the last 50 steps",
    "main_arm": "the only one",
}


@dataclass(frozen=True)
class Planned:
    """What a study shall do.

    Attributes
    ----------
    study
        Settings below the study's name, with reasons.
    title
        What it is about.
    remarks
        What a person should know of the plan.
    seconds
        Expected time by the clock; None where nothing was timed.
    also
        Lines of YAML that a person may switch on, by what they are for.
    """

    study: Choices
    title: str
    remarks: Sequence[Problem] = ()
    seconds: float | None = None
    also: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """The samples that a plan uses: ``where`` chooses them, for the reasons given."""

    manifest: pd.DataFrame
    where: Mapping[str, Any]
    why: str
    problems: Sequence[Problem]


def keep_usable(seen: Seen, predicts_numbers: bool) -> Kept:
    """Leave out what cannot be used: single pictures of another magnification, too small classes.

    Raises
    ------
    InputError
        Fewer than two classes are left (of a study of classes), or too few samples.
    """
    manifest = seen.manifest
    words = samples_in(manifest.columns)
    where: dict[str, Any] = {}
    reasons: list[str] = []
    problems: list[Problem] = []
    counts = manifest["magnification"].value_counts()
    if len(counts) > 1 and manifest["magnification"].notna().all():
        most, n = float(counts.index[0]), int(counts.iloc[0])
        kept = manifest[manifest["magnification"] == most]
        if kept["class"].nunique() == manifest["class"].nunique() and n >= len(manifest) / 2:
            where["magnification"] = int(most) if most.is_integer() else most
            reasons.append(
                f"{n} of {len(manifest)} pictures have {most:g} times; crops of one size in pixels "
                "would show other sizes at the others"
            )
            manifest = kept
        else:
            problems.append(
                Problem(
                    f"The pictures have {len(counts)} magnifications, and no one of them holds all "
                    "classes: crops show fields of different sizes. Choose one with dataset.where."
                )
            )
    if not predicts_numbers:
        sizes = manifest["class"].value_counts()
        small = sorted(sizes.index[sizes < FEWEST_SAMPLES])
        if small and len(sizes) - len(small) >= 2:
            left = sorted(set(sizes.index) - set(small))
            where["class"] = left
            listed = ", ".join(f"'{name}' ({sizes[name]})" for name in small[:5])
            reasons.append(
                f"classes with fewer than {FEWEST_SAMPLES} {words.plural} are left out: {listed}"
            )
            problems.append(
                Problem(
                    f"{count_of(len(small), 'class', 'classes')} with fewer than {FEWEST_SAMPLES} "
                    f"{words.plural} cannot be divided and are left out: {listed}."
                )
            )
            manifest = manifest[manifest["class"].isin(left)]
        elif small:
            found = count_of(int(sizes[small[0]]), words.noun, words.plural)
            raise InputError(
                f"{seen.place}: the class '{small[0]}' has {found}, "
                f"and at least {FEWEST_SAMPLES} are needed to train, validate and test; add some."
            )
        if manifest["class"].nunique() < 2:
            raise InputError(
                f"{seen.place}: all {len(manifest)} {words.plural} are of one class "
                f"('{manifest['class'].iloc[0]}'), so there is nothing to tell apart; add a folder "
                "for another class, or name numbers to predict (--targets)."
            )
    return Kept(manifest.reset_index(drop=True), where, "; ".join(reasons), problems)


def pairs_of(seen: Seen, kept: Kept) -> pd.DataFrame:
    """Return the pairs of samples that show the same place, both of which are used."""
    names = set(kept.manifest["sample_id"])
    return seen.pairs[seen.pairs["sample_a"].isin(names) & seen.pairs["sample_b"].isin(names)]


def expect_seconds(
    cost: TileCost | None,
    machine: Machine,
    *,
    trained_tiles: int,
    judged_tiles: int,
    read_seconds: float,
    jobs: int,
) -> float | None:
    """Return the expected time by the clock.

    Parameters
    ----------
    cost
        Of a tile; None if it was not timed.
    machine
        Whose cores share the work.
    trained_tiles, judged_tiles
        Over all folds and epochs.
    read_seconds
        CPU time to read all samples once; they are read twice, and cut once.
    jobs
        Folds that train side by side.
    """
    if cost is None:
        return None
    side_by_side = 1 if machine.gpu else max(1, min(jobs, machine.cores))
    learning = (trained_tiles * cost.train + judged_tiles * cost.judge) / side_by_side
    return learning + (3 * read_seconds + REPORT_SECONDS) / machine.cores
