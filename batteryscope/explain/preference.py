"""A summary of attribution on masks, without the libraries that attribution needs."""

from collections.abc import Mapping

import pandas as pd


def summarise_preference(tiles: pd.DataFrame) -> Mapping[str, float]:
    """Summarise the tiles of an arm, every image counting once.

    Parameters
    ----------
    tiles
        ``sample_id, share, area, preference``, one row per tile.

    Returns
    -------
    mapping
        ``n`` images with a mask, the means of ``share`` and ``area`` over them, ``preference``
        and ``sd`` (over images, ddof 1; NaN for a single one).
    """
    known = tiles.dropna(subset=["preference"])
    images = known.groupby("sample_id")[["share", "area", "preference"]].mean()
    return {
        "n": len(images),
        "share": float(images["share"].mean()),
        "area": float(images["area"].mean()),
        "preference": float(images["preference"].mean()),
        "sd": float(images["preference"].std(ddof=1)),
    }
