"""Treatment of unequal class sizes: how often a training image is seen, and what it weighs."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batteryscope.config.learning import BalanceSettings
from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.manifest.select import describe_conditions, select_samples
from batteryscope.seeds import derive_seed
from batteryscope.tilestore import TRAINING_KINDS

log = logging.getLogger("batteryscope")

BALANCE_COLUMNS = ["repeat", "fold", "tile", "copies", "weight"]


def plan_balance(
    labels: Sequence[str] | NDArray[Any], settings: BalanceSettings
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Plan copies and loss weights of training images.

    Parameters
    ----------
    labels
        Class of every image, (n,).
    settings
        ``oversample`` replicates every class up to the size of the reference class: whole
        copies of all its images, and one more of some of them, evenly chosen; larger classes
        stay as they are (Jeon et al. 2025: up to the second largest, 201 images).
        ``class_weights`` weights by 1/n_k, n_k images being of class k. ``class_balanced`` leaves
        both at 1: the training draws its batches by class.

    Returns
    -------
    copies
        (n,) int, at least 1.
    weights
        (n,) float; their mean over the images is 1.
    """
    _, classes, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    copies = np.ones(len(classes), np.int64)
    weights = np.ones(len(classes), np.float64)
    if settings.method == "class_weights":
        weights = len(classes) / (len(sizes) * sizes[classes].astype(np.float64))
    elif settings.method == "oversample" and len(sizes):
        descending = np.sort(sizes)[::-1]
        second = settings.reference == "second_largest" and len(sizes) > 1
        reference = int(descending[1 if second else 0])
        for k, size in enumerate(sizes.tolist()):
            if size < reference:
                copies[classes == k] = _spread(reference, size)
    return copies, weights


def count_by(labels: pd.Series, settings: BalanceSettings, of_classes: bool) -> pd.Series:
    """Return what ``images_per_class`` counts by: classes, or all images where numbers are learnt.

    Parameters
    ----------
    labels
        Class by ``sample_id``.
    settings
        A limit on named classes counts by class in any case.
    of_classes
        Whether classes are what the network learns.
    """
    if of_classes or isinstance(settings.images_per_class, Mapping):
        return labels
    return pd.Series("all images", index=labels.index)


def find_specimens(manifest: pd.DataFrame) -> pd.Series:
    """Return the specimen by ``sample_id``; missing where none is named."""
    return manifest.set_index("sample_id").reindex(columns=["specimen_id"])["specimen_id"]


def choose_samples(
    labels: pd.Series,
    specimens: pd.Series,
    settings: BalanceSettings,
    of_classes: bool,
    seed: int,
    repeat: int,
    fold: int,
) -> list[str]:
    """Choose the samples that ``specimens_per_class`` and ``images_per_class`` leave.

    Parameters
    ----------
    labels
        Class by ``sample_id``.
    specimens
        Name of the specimen by ``sample_id``; it may hold more samples.
    settings, of_classes
        As of :func:`count_by`.
    seed, repeat, fold
        What the lots depend on.

    Returns
    -------
    list of str
        The chosen ``sample_id``, sorted.

    Raises
    ------
    InputError
        Specimens are counted, and one is not known.
    """
    counted = count_by(labels, settings, of_classes)
    if settings.specimens_per_class is not None:
        own = specimens.loc[counted.index]
        if own.isna().any():
            raise InputError(
                f"balance.specimens_per_class counts specimens, but that of the sample "
                f"'{own.index[own.isna()][0]}' is not known; name specimens (labels), or set "
                "balance.images_per_class in its place."
            )
        lots = {str(name): derive_seed(seed, "specimen", repeat, fold, name) for name in set(own)}
        table = pd.DataFrame({"class": counted, "specimen": own.astype(str)})
        each = table.drop_duplicates().assign(lot=lambda rows: rows["specimen"].map(lots))
        each = each.sort_values(["lot", "specimen"])
        each = each[each.groupby("class").cumcount() < settings.specimens_per_class]
        kept = set(zip(each["class"], each["specimen"], strict=True))
        pairs = zip(table["class"], table["specimen"], strict=True)
        counted = counted[[pair in kept for pair in pairs]]
    return choose_images(counted, settings, seed, repeat, fold)


def choose_images(
    labels: pd.Series, settings: BalanceSettings, seed: int, repeat: int, fold: int
) -> list[str]:
    """Choose at most ``images_per_class`` images of every class, or of the classes that it names.

    Every image has a lot of its own in each repeat and fold, and the smallest lots are taken.
    So fewer images are always among the more, and the choice is the same in every stage.

    Parameters
    ----------
    labels
        Class by ``sample_id``.
    settings
        How many; all if ``images_per_class`` is None.
    seed, repeat, fold
        What the lots depend on, beside the image.

    Returns
    -------
    list of str
        The chosen ``sample_id``, sorted; of a class with too few images all.
    """
    limit = settings.images_per_class
    if limit is None:
        return sorted(labels.index)
    lots = [derive_seed(seed, "image", repeat, fold, sample) for sample in labels.index]
    table = pd.DataFrame({"class": labels.to_numpy(), "lot": lots, "sample_id": labels.index})
    table = table.sort_values(["lot", "sample_id"])
    place = table.groupby("class").cumcount()
    most = limit if isinstance(limit, int) else table["class"].map(limit).fillna(np.inf)
    return sorted(table.loc[place < most, "sample_id"])


def limit_tiles(
    tiles: pd.DataFrame, classes: pd.Series, tiles_per_class: int, *lot: object
) -> pd.DataFrame:
    """Keep so many tiles of every class, spread evenly over its images.

    Every image gives one tile in turn, in the order of lots, until the class has enough; an image
    that has no tile left is passed over. So fewer tiles are always among the more.

    Parameters
    ----------
    tiles
        ``sample_id, tile``.
    classes
        Class by ``sample_id``.
    tiles_per_class
        How many; of a class with too few tiles all are kept.
    lot
        What the lots of the images depend on, beside the image.

    Returns
    -------
    DataFrame
        Rows of ``tiles``, sorted by ``tile``.
    """
    ordered = tiles.sort_values("tile")
    lots = {name: derive_seed(*lot, "tiles", name) for name in ordered["sample_id"].unique()}
    ordered = ordered.assign(
        turn=ordered.groupby("sample_id").cumcount(), lot=ordered["sample_id"].map(lots)
    ).sort_values(["turn", "lot", "sample_id"])
    label = classes.loc[ordered["sample_id"]].to_numpy()
    kept = ordered.groupby(label).head(tiles_per_class)
    return kept.sort_values("tile")[list(tiles.columns)]


def balance_stage(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    index: pd.DataFrame,
    settings: BalanceSettings,
    where: Mapping[str, Any],
    stage: str,
    seed: int = 1,
    needs_all_classes: bool = True,
    tiles_per_class: int | None = None,
) -> pd.DataFrame:
    """Plan the balance of a stage's training tiles in every repeat and fold.

    Parameters
    ----------
    manifest
        Sample table.
    split
        ``sample_id, repeat, fold, role``.
    index
        Index of the tile store.
    settings
        Balance settings of the stage.
    where
        The samples that the stage trains with, by manifest columns.
    stage
        Its name, for messages.
    seed
        The seed of the stage's training, for the choice of images and tiles.
    needs_all_classes
        False where classes are no outputs of the model, so that one may be unknown in training.
    tiles_per_class
        Training tiles of every class (None: all that the images have).

    Returns
    -------
    DataFrame
        ``repeat, fold, tile, copies, weight``, sorted; all tiles of an image have the copies and
        the weight of the image, the weights being scaled to a mean over the tiles of 1. Tiles
        that ``images_per_class``, ``specimens_per_class`` or ``tiles_per_class`` leaves out are
        absent.

    Raises
    ------
    InputError
        The stage selects no sample, or not every class, or a class of it has no training tile
        in some fold.
    """
    chosen = select_samples(manifest, where, f"stage '{stage}': where")
    if chosen.empty:
        raise InputError(
            f"Stage '{stage}' selects no image with where {dict(where)}; compare it with the "
            "columns of the manifest."
        )
    classes = chosen.set_index("sample_id")["class"]
    specimens = find_specimens(chosen)
    _check_names(settings.images_per_class, classes, stage)
    tiles = index[index["used"] & index["kind"].isin(TRAINING_KINDS)][["sample_id", "tile"]]
    trained = split[(split["role"] == "train") & split["sample_id"].isin(classes.index)]
    parts, n_images, n_specimens, n_tiles = [], [], [], []
    fits = split[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    for repeat, fold in fits.to_numpy().tolist():
        of_fit = trained[(trained["repeat"] == repeat) & (trained["fold"] == fold)]["sample_id"]
        part = tiles[tiles["sample_id"].isin(set(of_fit))].sort_values("tile")
        if settings.limits_samples:
            usable = classes.loc[part["sample_id"].unique()]
            counted = count_by(usable, settings, needs_all_classes)
            n_images.append(counted.value_counts())
            n_specimens.append(specimens.loc[usable.index].groupby(counted).nunique())
            chosen_ids = choose_samples(
                usable, specimens, settings, needs_all_classes, seed, repeat, fold
            )
            part = part[part["sample_id"].isin(chosen_ids)]
        if tiles_per_class is not None:
            n_tiles.append(classes.loc[part["sample_id"]].value_counts())
            part = limit_tiles(part, classes, tiles_per_class, seed, repeat, fold)
        labels = classes.loc[part["sample_id"]].to_numpy(dtype=object)
        if needs_all_classes and (unseen := sorted(set(manifest["class"]) - set(classes))):
            raise InputError(
                f"Class '{unseen[0]}' has images, but none among those of stage '{stage}' (with "
                f"{describe_conditions(where)}), so the network cannot learn it there; add such "
                "images, or leave the class out with dataset.where."
            )
        missing = sorted(set(classes) - set(labels))
        if missing and (needs_all_classes or not len(labels)):
            n_all = int((classes == missing[0]).sum())
            n_trained = int((classes.loc[sorted(set(of_fit))] == missing[0]).sum())
            raise InputError(
                f"Class '{missing[0]}' of stage '{stage}' has no training tile in repeat {repeat}, "
                f"fold {fold}: {_explain_no_tile(n_all, n_trained, where)}."
            )
        image, images = pd.factorize(part["sample_id"])
        copies, weights = plan_balance(classes.loc[images].to_numpy(dtype=object), settings)
        weight = weights[image] / weights[image].mean()
        parts.append(part.assign(repeat=repeat, fold=fold, copies=copies[image], weight=weight))
    for wanted, found, noun in (
        (settings.images_per_class, n_images, "images"),
        (settings.specimens_per_class, n_specimens, "specimens"),
        (tiles_per_class, n_tiles, "tiles"),
    ):
        if wanted is not None:
            _warn_of_small_classes(pd.DataFrame(found).min(), wanted, noun, stage)
    return pd.concat(parts, ignore_index=True)[BALANCE_COLUMNS]


def _check_names(limit: int | Mapping[str, int] | None, classes: pd.Series, stage: str) -> None:
    """Refuse a limit on a class that the stage does not have."""
    if not isinstance(limit, Mapping):
        return
    if unknown := sorted(set(limit) - set(classes)):
        raise InputError(
            f"Stage '{stage}': balance.images_per_class names '{unknown[0]}', expected some of the "
            f"classes {', '.join(sorted(set(classes)))}; correct the name in params.yaml."
        )


def _explain_no_tile(n_images: int, n_trained: int, where: Mapping[str, Any]) -> str:
    """Say why no tile of a class is left to learn from, and what to do."""
    if n_trained:
        return (
            f"no tile of its {count_of(n_trained, 'training image')} could be used; see the "
            "rejects of preprocessing, or add images of it"
        )
    return (
        f"of its {count_of(n_images, 'image')} with {describe_conditions(where)}, none is in the "
        "training part there; add such images, or leave the class out with dataset.where"
    )


def _warn_of_small_classes(
    smallest: pd.Series, wanted: int | Mapping[str, int], noun: str, stage: str
) -> None:
    """Say which classes have fewer training images (or tiles) in some fold than are asked for."""
    if isinstance(wanted, Mapping):
        for name, number in wanted.items():
            _warn_of_small_classes(smallest[[name]], number, noun, stage)
        return
    few = smallest[smallest < wanted].sort_index()
    if len(few):
        counts = ", ".join(f"{name} {int(size)}" for name, size in few.items())
        log.warning(
            "Stage '%s' asks for %d %s per class, but some folds have fewer training %s "
            "(%s); all of them are used.",
            stage,
            wanted,
            noun,
            noun,
            counts,
        )


def _spread(total: int, size: int) -> NDArray[np.int64]:
    """Divide copies over images so that they differ by one at most, evenly along the list."""
    return np.diff(np.arange(size + 1, dtype=np.int64) * total // size)
