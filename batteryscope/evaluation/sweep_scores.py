"""What the points of sweeps are scored by: the same question to whoever knows the answer.

Classes (:mod:`batteryscope.evaluation.class_points`), numbers
(:mod:`batteryscope.evaluation.number_points`) and rows (:mod:`batteryscope.tables.score_points`)
each have a ``SCORER``; the layout of a study names the module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError


@dataclass(frozen=True)
class PointInputs:
    """What is known of the arms that do the work of all points.

    Attributes
    ----------
    arms
        Predictions by name.
    manifest
        Sample table.
    label_columns
        Columns that the class is made of.
    backbones
        Network by arm.
    splits
        Division by arm. One that trained on the specimens that it was tested on is not
        judged per specimen.
    quantities
        What the targets are; without any, capacities.
    bases
        By arm: which arm of the study it is a variant of.
    """

    arms: Mapping[str, Path]
    manifest: pd.DataFrame
    label_columns: Sequence[str] = ()
    backbones: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, Path] = field(default_factory=dict)
    quantities: Sequence[Quantity] = ()
    bases: Mapping[str, str] = field(default_factory=dict)

    def read_predictions(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Read the predictions of one arm after the other.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        for name, path in self.arms.items():
            try:
                yield name, pd.read_parquet(path)
            except (OSError, ValueError) as error:
                problem = f"{path}: cannot be read as a table ({first_line(error)})."
                raise InputError(problem) from None


@dataclass(frozen=True)
class PointScorer:
    """How points of one kind are scored.

    Attributes
    ----------
    score
        Returns ``arm, backbone, target, domain, level, metric, mean, sd, n, paper`` on test
        samples; mean and standard deviation over repeats and folds. Raises an InputError if
        predictions cannot be read.
    flatten
        Returns ``<point>.<level>[.<target>].<metric>`` → mean, of the table of all points.
    """

    score: Callable[[PointInputs], pd.DataFrame]
    flatten: Callable[[pd.DataFrame], Mapping[str, float]]


def find_scorer(module: str) -> PointScorer:
    """Return the scorer of a module, as the layout of a study names it."""
    scorer = import_module(module).SCORER
    assert isinstance(scorer, PointScorer)
    return scorer
