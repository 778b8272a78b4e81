"""Coatings in polished cross-sections under a light microscope."""

from dataclasses import dataclass
from typing import Any

from batteryscope.samples.kind import NO_CORE, PICTURE_MODULES, Samples


@dataclass(frozen=True)
class Coatings(Samples):
    """Pictures whose generated specimens have names."""

    def find_unit(self, dataset: Any, group: str) -> str:
        """Return what a split will keep together: generated pictures name their electrodes."""
        if dataset.path is None:
            return self.unit if group in ("auto", self.unit) else self.noun
        return super().find_unit(dataset, group)


COATING = Coatings(
    name="coating",
    noun="image",
    plural="images",
    given="a picture",
    goes_in="A picture",
    levels=("tile", "image", "specimen"),
    unit="specimen",
    group="group",
    learnt_from="tiles",
    modules=PICTURE_MODULES,
    methods=("coating_crop",),
    offers=frozenset({"labels", "grey_levels", "metadata", "texture", "thresholds", "thickness"}),
    useless={"explain.polar_slices_per_class": NO_CORE},
)
