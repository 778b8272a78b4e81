"""How baselines are called: one entry each, for figures, tables, sentences and model cards."""

from collections.abc import Mapping
from dataclasses import dataclass

from batteryscope.evaluation.predictions import BASELINE_PREFIX


@dataclass(frozen=True)
class BaselineWords:
    """What people read of a baseline.

    Attributes
    ----------
    label
        In figures and tables.
    phrase
        In a sentence, such as ``the best baseline (…)``; empty: the label.
    method
        What learns; told where a reader has nothing else, empty where there is nothing to learn or
        the label says it.
    sees
        How far it sees samples as the network does.
    """

    label: str
    phrase: str = ""
    method: str = ""
    sees: str = ""

    @property
    def in_sentence(self) -> str:
        """Name in a sentence."""
        return self.phrase or self.label

    @property
    def with_method(self) -> str:
        """Label and method."""
        return f"{self.label} ({self.method})" if self.method else self.label


OF_CLASSES = {
    "majority": BaselineWords(
        "always the most frequent class",
        "the most frequent class",
        sees="the most frequent class looks at none of them",
    ),
    "metadata": BaselineWords(
        "microscope settings only",
        "acquisition metadata",
        "random forest",
        "metadata tell how they were taken, not what they show",
    ),
    "grey_levels": BaselineWords(
        "grey levels only",
        "grey levels without shapes",
        "random forest",
        "grey levels tell how often each level occurs, without any shape",
    ),
    "winding": BaselineWords(
        "measured windings, random forest",
        "measured windings without learning",
        sees="measured windings are shapes (spacing, roundness of the core), but chosen by people, "
        "not learnt from pixels",
    ),
    "covariates": BaselineWords(
        "covariates only",
        "covariates without the picture",
        "random forest",
        "covariates stand beside the picture, which nobody looks at",
    ),
}
OF_CAPACITIES = {
    "mean": BaselineWords("the mean of the training electrodes"),
    "porosity": BaselineWords("the porosity by Otsu's thresholds, interpolated"),
    "thickness": BaselineWords("the thickness of the coating, interpolated"),
    "texture_forest": BaselineWords("a random forest on texture descriptors"),
    "covariates": BaselineWords("a random forest on the covariates alone"),
}
OF_QUANTITIES = {
    **OF_CAPACITIES,
    "mean": BaselineWords("the mean of the training samples"),
    "grey_levels": BaselineWords("a random forest on grey levels"),
    "metadata": BaselineWords("a random forest on the settings of the instrument"),
    "winding": BaselineWords("a random forest on measured windings"),
}
OF_ROWS = {
    "mean": BaselineWords("mean of the training rows", "the mean of the training rows"),
    "linear": BaselineWords("linear regression"),
    "ridge": BaselineWords("ridge regression"),
    "random_forest": BaselineWords("random forest", "a random forest"),
    "gradient_boosting": BaselineWords("gradient boosting"),
    "gaussian_process": BaselineWords("Gaussian process", "a Gaussian process"),
}


def find_words(arm: str, known: Mapping[str, BaselineWords]) -> BaselineWords:
    """Return the words of a baseline by the name of its arm; of an unknown one its own name."""
    name = arm.removeprefix(BASELINE_PREFIX)
    return known.get(name) or BaselineWords(name.replace("_", " "))
