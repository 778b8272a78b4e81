"""Descriptors of windings as tables: a row per slice, and a row per cell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.preprocess.cut_volume import CutSlice
from batteryscope.readers.volume import Volume

# Shares and ratios only, so that scans of different resolution compare; what the baseline sees.
DESCRIPTORS = (
    "neighbour_similarity",
    "winding_regularity",
    "winding_contrast",
    "pitch_share",
    "pitch_variation",
    "core_radius_share",
    "core_offset_share",
    "core_roundness",
    "core_radius_variation",
)


def describe_slice(record: Mapping[Any, Any], cut: CutSlice, volume: Volume) -> dict[str, Any]:
    """Return what was found and measured in a slice.

    Parameters
    ----------
    record
        Row of the manifest.
    cut
        The slice after :func:`batteryscope.preprocess.cut_volume.cut_volume`.
    volume
        Its scan, for the size of a voxel.

    Returns
    -------
    dict
        ``path, specimen_id, class, volume, slice, used, reason``; centre and radius of can and
        core in pixels; the :data:`DESCRIPTORS`, lengths as shares of the can's radius; and
        ``pitch_um, can_diameter_mm, core_diameter_mm`` where the size of a voxel is known.
        NaN where something was not found.
    """
    nothing = float("nan")
    can, core, windings = cut.finding.can, cut.finding.core, cut.finding.windings
    radius = can.radius_px if can else nothing
    pitch = windings.pitch_px if windings else nothing
    um = volume.voxel_size_um or nothing
    offset = np.hypot(core.x_px - can.x_px, core.y_px - can.y_px) if can and core else nothing
    return {
        **{k: record[k] for k in ("path", "specimen_id", "class", "volume", "slice")},
        "used": cut.tile is not None,
        "reason": cut.reason,
        "can_x_px": can.x_px if can else nothing,
        "can_y_px": can.y_px if can else nothing,
        "can_radius_px": radius,
        "can_share_found": can.share_on_circle if can else nothing,
        "core_x_px": core.x_px if core else nothing,
        "core_y_px": core.y_px if core else nothing,
        "centre_x_px": cut.x_px,
        "centre_y_px": cut.y_px,
        "neighbour_similarity": cut.similarity,
        "winding_regularity": windings.regularity if windings else nothing,
        "winding_contrast": windings.contrast if windings else nothing,
        "pitch_share": pitch / radius,
        "pitch_variation": windings.pitch_variation if windings else nothing,
        "core_radius_share": core.radius_px / radius if core else nothing,
        "core_offset_share": offset / radius,
        "core_roundness": core.roundness if core else nothing,
        "core_radius_variation": core.radius_variation if core else nothing,
        "pitch_um": pitch * um,
        "can_diameter_mm": 2e-3 * radius * um,
        "core_diameter_mm": 2e-3 * core.radius_px * um if core else nothing,
    }


def summarise_cells(slices: pd.DataFrame) -> pd.DataFrame:
    """Summarise the used slices of every cell; a cell without any has no descriptors.

    Parameters
    ----------
    slices
        Rows of :func:`describe_slice`.

    Returns
    -------
    DataFrame
        ``specimen_id, class, slices, slices_left_out``, then mean and standard deviation
        (``…_sd``) over the slices of every descriptor and of the lengths in µm and mm.
    """
    measured = [*DESCRIPTORS, "pitch_um", "can_diameter_mm", "core_diameter_mm"]
    keys = ["specimen_id", "class"]
    used = slices[slices["used"]].groupby(keys)
    table = pd.DataFrame({"all": slices.groupby(keys).size()})
    table["slices"] = used.size().reindex(table.index, fill_value=0)
    table["slices_left_out"] = table.pop("all") - table["slices"]
    for column in measured:
        table[column] = used[column].mean()
        table[f"{column}_sd"] = used[column].std()
    return table.reset_index()
