"""From tiles to images to specimens by soft vote: the mean of the probabilities decides."""

import numpy as np
import pandas as pd

from batteryscope.evaluation.predictions import (
    FIT,
    KEYS,
    PREFIX,
    find_classes,
    get_probabilities,
    make_predictions,
)

IMAGE_KEYS = ["arm", "repeat", "fold", "role", "sample_id", "y_true"]


def aggregate_to_images(predictions: pd.DataFrame) -> pd.DataFrame:
    """Let the tiles of an image vote, separately in every arm, repeat, fold and role.

    Parameters
    ----------
    predictions
        Predictions table at tile level. Rows that are images already (baselines)
        come back as they are.

    Returns
    -------
    DataFrame
        The same columns with ``tile = -1`` and, in addition, ``n_tiles`` and
        ``agreement``: the share of tiles whose own verdict is that of the vote.
        Sorted by arm, repeat, fold, role and sample.
    """
    return _vote(predictions, IMAGE_KEYS).assign(tile=-1)


def aggregate_to_specimens(images: pd.DataFrame, specimens: "pd.Series[str]") -> pd.DataFrame:
    """Let the images of a specimen vote.

    Parameters
    ----------
    images
        Image-level predictions as :func:`aggregate_to_images` returns them.
    specimens
        Specimen of each sample, indexed by ``sample_id``; may hold nulls. Images of
        unknown specimens are left out.

    Returns
    -------
    DataFrame
        As for images, ``sample_id`` being the specimen and ``n_tiles`` the number of
        images. A specimen that was pictured in several true classes (before and
        after cycling, say) gives one row per class.
    """
    named = images.assign(sample_id=images["sample_id"].map(specimens))
    named = named[named["sample_id"].notna()]
    return _vote(named, IMAGE_KEYS).assign(tile=-1)


def pool_fits(images: pd.DataFrame) -> pd.DataFrame:
    """Give every image one verdict: the soft vote of all fits that tested it.

    In plain cross-validation every image was tested once and nothing changes but
    ``repeat`` and ``fold``, which become -1; ``n_tiles`` counts the fits.
    """
    keys = [key for key in IMAGE_KEYS if key not in FIT]
    return _vote(images.drop(columns=FIT), keys).assign(tile=-1, repeat=-1, fold=-1)[
        [*KEYS, *[PREFIX + c for c in find_classes(images)], "n_tiles", "agreement"]
    ]


def _vote(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    classes = find_classes(table)
    columns = [PREFIX + name for name in classes]
    if table.empty:
        return table.assign(n_tiles=0, agreement=0.0)
    groups = table.groupby(keys, sort=True, dropna=False, observed=True)
    means = groups[columns].mean()
    votes = make_predictions(
        means.index.to_frame(index=False).reindex(columns=[k for k in KEYS if k != "y_pred"]),
        get_probabilities(means),
        classes,
    )
    verdicts = votes["y_pred"].to_numpy()[groups.ngroup().to_numpy()]
    agrees = pd.Series(table["y_pred"].to_numpy() == verdicts, index=table.index)
    votes["n_tiles"] = groups.size().to_numpy()
    votes["agreement"] = agrees.groupby(groups.ngroup()).mean().to_numpy(dtype=np.float64)
    return votes
