"""Slices of cells in computed-tomography scans."""

from dataclasses import dataclass
from typing import Any

from batteryscope.samples.kind import NO_COATING, PICTURE_OPTIONS, SampleModules, Samples


@dataclass(frozen=True)
class Slices(Samples):
    """Samples of which one file holds many."""

    def find_unit(self, dataset: Any, group: str) -> str:
        """Return what a split will keep together: every slice belongs to a cell."""
        return self.noun if group in ("image", self.noun) else self.unit

    def explain_misfit(self, cut: Samples, method: str, arm: str) -> str:
        """Say why a method that is for other samples does not fit; empty if it does."""
        if cut.name == self.name:
            return ""
        return (
            f"found '{method}' (arm '{arm}'), but the data set holds scans; set it to "
            "'ct_slices', or leave dataset.volumes out."
        )


CT = Slices(
    name="ct",
    noun="slice",
    plural="slices",
    given="a scan",
    goes_in="A scan of a cell",
    levels=("slice", "specimen"),
    unit="cell",
    group="cell",
    learnt_from="tiles",
    modules=SampleModules(
        generate="batteryscope.demo.write_dataset",
        ingest="batteryscope.manifest.ingest_scans",
        split="batteryscope.splits.divide_scans",
        train="batteryscope.evaluation.train_tiles",
        search="batteryscope.search.plan_search",
        predict="batteryscope.bundle.predict_scans",
    ),
    methods=("ct_slices",),
    offers=frozenset({"labels", "grey_levels", "metadata", "texture", "windings"}),
    useless={
        "dataset.expected_size_px": "scans may have any size",
        "explain.phases": NO_COATING,
    },
    columns=("volume", "slice"),
    file_column="volume",
    options=("images", "slices", *PICTURE_OPTIONS[1:-1]),
    are_files=False,
    not_external=(
        "scans cannot be an external data set yet; leave it out, and judge other scans with "
        "batteryscope predict."
    ),
)
