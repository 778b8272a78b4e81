"""The widths of shown tiles, for scale bars."""

from batteryscope.core.scale_bar import measure_tile_widths
from batteryscope.report.evidence import StudyEvidence


def find_widths_um(evidence: StudyEvidence) -> dict[int, float]:
    """Return the width in µm of every tile whose pixel size is known, as far as it has lengths."""
    index, manifest = evidence.tile_index, evidence.manifest
    if index is None or manifest is None or evidence.settings.preprocess.unrolls:
        return {}
    return measure_tile_widths(index, manifest)
