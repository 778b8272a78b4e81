"""Which answer settings and bundles speak of: the only place that decides it."""

from collections.abc import Sequence
from typing import Protocol

from batteryscope.answers.classes import CLASSES
from batteryscope.answers.kind import CLASS, GRADES, Answer, AnswerModules, BundleKind
from batteryscope.answers.quantities import QUANTITIES

ANSWERS: tuple[Answer, ...] = (CLASSES, QUANTITIES)


class NamesTargets(Protocol):
    """Settings that may name numbers to predict: of a data set, or of a training stage."""

    @property
    def targets(self) -> object:
        """The numbers; None or empty if classes are predicted."""


def answer_of(settings: NamesTargets) -> Answer:
    """Return what a data set is for, or what a training stage learns."""
    return QUANTITIES if settings.targets else CLASSES


def answer_given(outputs: str | Sequence[str]) -> Answer:
    """Return what a network gives whose ``model.outputs`` these are."""
    return CLASSES if outputs in (CLASS, GRADES) else QUANTITIES


def bundle_called(kind: str) -> tuple[BundleKind, AnswerModules]:
    """Return who reads and who applies a bundle whose description says so of itself.

    Anything unknown counts as classes of pictures, whose reader says what is wrong with it.
    """
    for answer in ANSWERS:
        for place, known in answer.bundles.items():
            if kind in known.names:
                return known, answer.modules[place]
    return CLASSES.bundles["tiles"], CLASSES.modules["tiles"]


def answer_named(name: str) -> Answer | None:
    """Return the kind of answers of that name; None if there is none."""
    return next((answer for answer in ANSWERS if answer.name == name), None)
