"""Batches of tiles for one fit, read straight from the memory-mapped tile store."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from batteryscope.errors import ConfigError
from batteryscope.seeds import derive_rng
from batteryscope.tilestore import JUDGING_KINDS

LARGEST_RESIDENT_SHARE = 0.5  # of the free memory of a device, for tiles
# Tiles, targets and weights; with covariates these come last.
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class TileSet:
    """The tiles of one role in one fit.

    Attributes
    ----------
    rows : (n,) int array
        Rows in the tile store; a tile that is oversampled occurs several times.
    targets : (n,) int array or (n, n_targets) float array
        Class numbers, or the numbers to predict.
    weights : (n,) float array
        Loss weights.
    sample_ids : (n,) object array
        The image of each tile.
    covariates : (n, n_inputs) float array or None
        What networks are given of it beside the picture.
    """

    rows: NDArray[np.int64]
    targets: NDArray[Any]
    weights: NDArray[np.float32]
    sample_ids: NDArray[np.object_]
    covariates: NDArray[np.float32] | None = None

    def list_covariates(self) -> NDArray[np.float32]:
        """Return the covariates of every image once, (n_images, n_inputs)."""
        if self.covariates is None:
            raise ValueError("these tiles have no covariates")
        _, first = np.unique(self.sample_ids.astype(str), return_index=True)
        return self.covariates[first]

    def take(self, places: NDArray[np.int64]) -> "TileSet":
        """Return the tiles at these places."""
        beside = None if self.covariates is None else self.covariates[places]
        return TileSet(
            self.rows[places],
            self.targets[places],
            self.weights[places],
            self.sample_ids[places],
            beside,
        )

    def __len__(self) -> int:
        return len(self.rows)


def select_training_tiles(
    index: pd.DataFrame,
    balance: pd.DataFrame,
    class_numbers: pd.Series | pd.DataFrame,
    covariates: pd.DataFrame | None = None,
) -> TileSet:
    """Gather the training tiles of one fit, replicated as the balance plan says.

    Parameters
    ----------
    index
        Index of the tile store.
    balance
        Rows of the balance plan of this repeat and fold (``tile, copies, weight``).
    class_numbers
        Class number by ``sample_id``, or a table with a column per target.
    covariates
        Inputs beside the picture by ``sample_id``.
    """
    plan = balance.sort_values("tile")
    plan = plan.loc[plan.index.repeat(plan["copies"])]
    samples = index.loc[index["tile"] >= 0].set_index("tile")["sample_id"].loc[plan["tile"]]
    return TileSet(
        rows=plan["tile"].to_numpy(np.int64),
        targets=_look_up(class_numbers, samples),
        weights=plan["weight"].to_numpy(np.float32),
        sample_ids=samples.to_numpy(object),
        covariates=_look_up_beside(covariates, samples),
    )


def select_grid_tiles(
    index: pd.DataFrame,
    samples: pd.Series,
    class_numbers: pd.Series | pd.DataFrame,
    covariates: pd.DataFrame | None = None,
) -> TileSet:
    """Gather the usable grid tiles of the given samples, each once, with weight 1."""
    judging = index["used"] & index["kind"].isin(JUDGING_KINDS)
    tiles = index[judging & index["sample_id"].isin(set(samples))]
    tiles = tiles.sort_values("tile")
    return TileSet(
        rows=tiles["tile"].to_numpy(np.int64),
        targets=_look_up(class_numbers, tiles["sample_id"]),
        weights=np.ones(len(tiles), np.float32),
        sample_ids=tiles["sample_id"].to_numpy(object),
        covariates=_look_up_beside(covariates, tiles["sample_id"]),
    )


def as_batch(tiles: NDArray[np.uint8]) -> Tensor:
    """Turn tiles, (n, H, W) or (n, C, H, W), into the (n, C, H, W) tensor that networks take."""
    batch = torch.from_numpy(np.ascontiguousarray(tiles))
    return batch.unsqueeze(1) if batch.ndim == 3 else batch


def count_channels(tiles: NDArray[np.uint8]) -> int:
    """Return the channels of tiles, (n, H, W) or (n, C, H, W)."""
    return 1 if tiles.ndim == 3 else tiles.shape[1]


def _look_up(values: pd.Series | pd.DataFrame, samples: pd.Series) -> NDArray[Any]:
    """Class numbers (n,) of samples, or their targets (n, n_targets)."""
    dtype = np.int64 if isinstance(values, pd.Series) else np.float32
    return values.loc[samples].to_numpy(dtype)


def _look_up_beside(
    covariates: pd.DataFrame | None, samples: pd.Series
) -> NDArray[np.float32] | None:
    """Covariates (n, n_inputs) of samples, if there are any."""
    return None if covariates is None else covariates.loc[samples].to_numpy(np.float32, copy=True)


class TileBatchDataset(Dataset[Batch]):
    """Gives whole batches: ``dataset[[i, j, …]]`` → tiles (B, C, H, W) uint8, targets, weights.

    Covariates are the last part of a batch, if the tiles have any. Tiles that are a tensor are
    gathered where it lies.
    """

    def __init__(self, tiles: NDArray[np.uint8] | Tensor, tile_set: TileSet) -> None:
        self.tiles = tiles
        self.tile_set = tile_set

    def __len__(self) -> int:
        return len(self.tile_set)

    def __getitem__(self, items: list[int]) -> Batch:
        rows = self.tile_set.rows[items]
        if isinstance(self.tiles, Tensor):
            pixels = self.tiles[torch.from_numpy(rows).to(self.tiles.device)]
        else:
            pixels = as_batch(self.tiles[rows])
        targets = torch.from_numpy(self.tile_set.targets[items])
        weights = torch.from_numpy(self.tile_set.weights[items])
        if self.tile_set.covariates is None:
            return pixels, targets, weights
        return pixels, targets, weights, torch.from_numpy(self.tile_set.covariates[items])


class EpochBatches(Sampler[list[int]]):
    """Batches in an order that depends on the seed and the epoch alone.

    ``balanced_targets`` (class numbers of all items) makes an epoch draw every class equally
    often, items of a class with replacement; the remainder of the division goes to classes
    by lot. With ``balanced_samples`` (the image of every item) the images of a class come equally
    often, too, however many tiles each has. An epoch has as many items as without.

    With several devices each rank takes every ``world_size``-th item of the same
    order. A last batch that is smaller than ``batch_size`` is left out in training
    (batch normalisation would suffer), unless it is the only one.
    """

    def __init__(
        self,
        n_items: int,
        batch_size: int,
        seed: int,
        items_per_epoch: int | None = None,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        balanced_targets: NDArray[np.int64] | None = None,
        balanced_samples: NDArray[np.object_] | None = None,
    ) -> None:
        self.n_items = n_items
        self.batch_size = batch_size
        self.seed = seed
        self.items_per_epoch = min(items_per_epoch or n_items, n_items)
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.balanced_targets = balanced_targets
        self.balanced_samples = balanced_samples
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next (the trainer calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        own = self.items_per_epoch // self.world_size if self.shuffle else self._n_own()
        whole, rest = divmod(own, self.batch_size)
        return whole + (1 if rest and (not self.shuffle or whole == 0) else 0)

    def __iter__(self) -> Iterator[list[int]]:
        if self.shuffle:
            rng = derive_rng(self.seed, "order", self.epoch)
            if self.balanced_targets is None:
                order = rng.permutation(self.n_items)
            else:
                order = draw_balanced(
                    self.balanced_targets, self.items_per_epoch, rng, self.balanced_samples
                )
            order = order[: self.items_per_epoch // self.world_size * self.world_size]
        else:
            order = np.arange(self.n_items)
        own = order[self.rank :: self.world_size]
        for i in range(len(self)):
            yield own[i * self.batch_size : (i + 1) * self.batch_size].tolist()

    def _n_own(self) -> int:
        return len(range(self.rank, self.n_items, self.world_size))


def draw_balanced(
    targets: NDArray[np.int64],
    n_draws: int,
    rng: np.random.Generator,
    samples: NDArray[np.object_] | None = None,
) -> NDArray[np.int64]:
    """Draw items so that every class comes equally often, and every image within a class.

    Parameters
    ----------
    targets : (n,) int array
        Class numbers; a number without items does not count as a class.
    n_draws
        How many items to draw.
    rng
        Source of randomness.
    samples : (n,) array
        The image that each item is a tile of; without it every item is equally likely.

    Returns
    -------
    (n_draws,) int array
        Items in random order; the counts of two classes differ by one at most.
    """
    classes = rng.permutation(np.unique(targets))
    counts = np.full(len(classes), n_draws // len(classes))
    counts[: n_draws % len(classes)] += 1
    drawn = []
    for number, count in zip(classes, counts, strict=True):
        own = np.flatnonzero(targets == number)
        drawn.append(rng.choice(own, count, p=None if samples is None else _share(samples[own])))
    return rng.permutation(np.concatenate(drawn))


def _share(samples: NDArray[np.object_]) -> NDArray[np.float64] | None:
    """Return probabilities that make every image equally likely; None where all items are."""
    _, image, n_tiles = np.unique(samples.astype(str), return_inverse=True, return_counts=True)
    return None if n_tiles.min() == n_tiles.max() else 1 / (n_tiles[image] * len(n_tiles))


def place_tiles(tiles: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy all tiles into the memory of a device, (n, C, H, W).

    Raises
    ------
    ConfigError
        They are larger than what is free there.
    """
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if tiles.nbytes > LARGEST_RESIDENT_SHARE * free_bytes:
            raise ConfigError(
                f"train.resident_tiles: the tiles take {tiles.nbytes / 1e9:.1f} GB, of "
                f"{free_bytes / 1e9:.1f} GB that are free on the GPU, and the network needs a part "
                "of them; set it to false."
            )
    return as_batch(tiles).to(device)


def make_loader(
    tiles: NDArray[np.uint8] | Tensor, tile_set: TileSet, batches: EpochBatches
) -> DataLoader[Batch]:
    """Combine tiles and order; batches are gathered whole, so no worker processes are needed."""
    return DataLoader(TileBatchDataset(tiles, tile_set), sampler=batches, batch_size=None)


def count_grey_levels(tiles: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
    """Return the 256-bin histogram of the given tiles, read in blocks of bounded memory."""
    histogram = np.zeros(256, np.int64)
    unique = np.unique(rows)
    for start in range(0, len(unique), 256):
        block = tiles[unique[start : start + 256]]
        histogram += np.bincount(block.ravel(), minlength=256)
    return torch.from_numpy(histogram)
