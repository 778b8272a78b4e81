"""The registry of baselines: what each is called, and what it needs to apply.

One entry each, for figures, tables, sentences, model cards and the check of the settings. What
those of pictures see is an entry of :mod:`batteryscope.evaluation.sample_features`; what fits those
of rows is one of :mod:`batteryscope.tables.baselines`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

BASELINE_PREFIX = "baseline_"
PHYSICS = "physics"  # arm of the half-cell model, which learns nothing

# What settings can ask for; the others are always there.
PictureBaseline = Literal["majority", "grey_levels", "metadata", "winding"]
RowBaseline = Literal[
    "mean", "linear", "ridge", "random_forest", "gradient_boosting", "gaussian_process"
]

Need = Literal[
    "labels",
    "grey_levels",
    "metadata",
    "texture",
    "thresholds",
    "thickness",
    "windings",
    "rows",
    "covariates",
]


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes
    ----------
    name
        In settings; its arm is called ``baseline_<name>``.
    label
        In figures and tables.
    phrase
        In a sentence, such as ``the best baseline (…)``; empty: the label.
    method
        What learns; told where a reader has nothing else, empty where there is nothing to learn or
        the label says it.
    sees
        How far it sees samples as the network does.
    needs
        What must be known of samples; where it is not, the baseline cannot be asked for.
    is_asked_for
        Whether ``evaluate.baselines`` names it; otherwise it is always there.
    """

    name: str
    label: str
    phrase: str = ""
    method: str = ""
    sees: str = ""
    needs: frozenset[Need] = frozenset()
    is_asked_for: bool = True

    @property
    def in_sentence(self) -> str:
        """Name in a sentence."""
        return self.phrase or self.label

    @property
    def with_method(self) -> str:
        """Label and method."""
        return f"{self.label} ({self.method})" if self.method else self.label


def _register(baselines: Iterable[Baseline]) -> dict[str, Baseline]:
    return {baseline.name: baseline for baseline in baselines}


LABELS: frozenset[Need] = frozenset({"labels"})
GREY_LEVELS: frozenset[Need] = frozenset({"grey_levels"})
METADATA: frozenset[Need] = frozenset({"metadata"})
TEXTURE: frozenset[Need] = frozenset({"texture"})
THRESHOLDS: frozenset[Need] = frozenset({"thresholds"})
THICKNESS: frozenset[Need] = frozenset({"thickness"})
WINDINGS: frozenset[Need] = frozenset({"windings"})
ROWS: frozenset[Need] = frozenset({"rows"})
COVARIATES: frozenset[Need] = frozenset({"covariates"})

OF_CLASSES = _register(
    [
        Baseline(
            "majority",
            "always the most frequent class",
            "the most frequent class",
            sees="the most frequent class looks at none of them",
            needs=LABELS,
        ),
        Baseline(
            "metadata",
            "microscope settings only",
            "acquisition metadata",
            "random forest",
            "metadata tell how they were taken, not what they show",
            METADATA,
        ),
        Baseline(
            "grey_levels",
            "grey levels only",
            "grey levels without shapes",
            "random forest",
            "grey levels tell how often each level occurs, without any shape",
            GREY_LEVELS,
        ),
        Baseline(
            "winding",
            "measured windings, random forest",
            "measured windings without learning",
            sees="measured windings are shapes (spacing, roundness of the core), but chosen by "
            "people, not learnt from pixels",
            needs=WINDINGS,
        ),
        Baseline(
            "covariates",
            "covariates only",
            "covariates without the picture",
            "random forest",
            "covariates stand beside the picture, which nobody looks at",
            COVARIATES,
            is_asked_for=False,
        ),
    ]
)
OF_CAPACITIES = _register(
    [
        Baseline("mean", "the mean of the training electrodes", needs=LABELS, is_asked_for=False),
        Baseline(
            "porosity",
            "the porosity by Otsu's thresholds, interpolated",
            needs=THRESHOLDS,
            is_asked_for=False,
        ),
        Baseline(
            "thickness",
            "the thickness of the coating, interpolated",
            needs=THICKNESS,
            is_asked_for=False,
        ),
        Baseline(
            "texture_forest",
            "a random forest on texture descriptors",
            needs=TEXTURE,
            is_asked_for=False,
        ),
        Baseline(
            "covariates",
            "a random forest on the covariates alone",
            needs=COVARIATES,
            is_asked_for=False,
        ),
    ]
)
OF_QUANTITIES = OF_CAPACITIES | _register(
    [
        Baseline("mean", "the mean of the training samples", needs=LABELS, is_asked_for=False),
        Baseline("grey_levels", "a random forest on grey levels", needs=GREY_LEVELS),
        Baseline("metadata", "a random forest on the settings of the instrument", needs=METADATA),
        Baseline("winding", "a random forest on measured windings", needs=WINDINGS),
    ]
)
OF_ROWS = _register(
    [
        Baseline("mean", "mean of the training rows", "the mean of the training rows", needs=ROWS),
        Baseline("linear", "linear regression", needs=ROWS),
        Baseline("ridge", "ridge regression", needs=ROWS),
        Baseline("random_forest", "random forest", "a random forest", needs=ROWS),
        Baseline("gradient_boosting", "gradient boosting", needs=ROWS),
        Baseline("gaussian_process", "Gaussian process", "a Gaussian process", needs=ROWS),
    ]
)


def find_words(arm: str, known: Mapping[str, Baseline]) -> Baseline:
    """Return a baseline by the name of its arm; of an unknown one its own name."""
    name = arm.removeprefix(BASELINE_PREFIX)
    return known.get(name) or Baseline(name, name.replace("_", " "))
