"""What a bundle knows of its training samples, so that it can tell what is unlike all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from batteryscope.bundle.ensemble import group_models
from batteryscope.bundle.integrity import read_safely
from batteryscope.bundle.record import (
    RECORD_FILE,
    TRAINING_IMAGES_FILE,
    FamiliarityRecord,
    Member,
    PictureRecord,
    write_json,
)
from batteryscope.bundle.unlike import Unlike, describe_calibrated
from batteryscope.core.progress import show_progress
from batteryscope.familiarity.feature_tap import FeatureTap, TileFeatures
from batteryscope.familiarity.reference import Reference, calibrate_reference
from batteryscope.familiarity.reference_file import pack_reference, unpack_reference
from batteryscope.familiarity.tile_measures import measure_grey_levels, measure_sharpness
from batteryscope.models.classifier import TileClassifier
from batteryscope.tilestore import JUDGING_KINDS, TileStore
from batteryscope.training.data import as_batch

REFERENCE_FILE = "training_reference.safetensors"
MEASURE = (
    "distance to the nearest training samples in features of all stages, grey levels, sharpness"
)
# The measures; a reason names them by their words.
STAGE, GREY_LEVELS, SHARPNESS = "structures of stage {}", "grey levels", "sharpness"
MOST_KNOWN, MOST_HELD_OUT = 500, 500  # samples, evenly spaced where there are more
# With several networks less of each, but the same of all: the fewer samples a distance is taken
# to, the larger it is, so that a limit of fewer than are kept would be too far.
KNOWN_OF_ALL, FEWEST_KNOWN, MOST_NETWORKS = 1500, 100, 20
# Every network passes all tiles anew, so no more are asked than give so many held-out groups: the
# share of false alarms then differs from what is wanted by two points (standard deviation).
ENOUGH_GROUPS = 100
TILES_AT_A_TIME = 256
HALF_A_LEVEL = 0.5 / 255
ROWS = "rows"
SEEING_BRIGHTNESS = ("raw", "dataset")  # treatments that leave tiles brighter or darker
Features = Sequence[NDArray[np.float32]]
Measured = dict[str, NDArray[np.float64]]
R = TypeVar("R", bound=PictureRecord)


class Familiarity:
    """Judges by the features of the first network, which it takes from the pass that answers."""

    def __init__(self, reference: Reference, names: Sequence[str], tap: FeatureTap) -> None:
        self._reference = reference
        self._names = names
        self._tap = tap

    def watch(self) -> TileFeatures:
        """Return what keeps the features of the tiles that will be asked about."""
        return TileFeatures(self._tap)

    def judge(self, tiles: NDArray[np.uint8], features: Features) -> Unlike:
        """Compare the (n, ...) tiles of one sample with all training samples."""
        return self.judge_each(tiles, features, np.zeros(len(tiles), int))[0]

    def judge_each(
        self, tiles: NDArray[np.uint8], features: Features, samples: NDArray[np.int64]
    ) -> list[Unlike]:
        """Compare several samples, whose numbers from 0 stand beside their tiles."""
        measured = average_tiles(measure_tiles(self._tap.model, tiles, features), samples)
        told = self._reference.judge(measured)
        answers = []
        for place, score in enumerate(told.scores):
            far = {name: float(share[place]) for name, share in told.shares.items()}
            reasons = tuple(
                f"{name}: {share:.3g} times as far from the training pictures as the limit"
                for name, share in sorted(far.items(), key=lambda item: -item[1])
                if share > 1
            )
            answers.append(Unlike(float(score), self._names[told.nearest[place]], reasons))
        return answers


def measure_tiles(model: TileClassifier, tiles: NDArray[np.uint8], features: Features) -> Measured:
    """Return all measures of tiles, by name; (n, p) each.

    Grey levels do not count where the network standardises each tile.
    """
    # The nearest sample is told by the first measure: the latest stage knows most of structures.
    stages = [(STAGE.format(number), values) for number, values in enumerate(features, 1)]
    measured = {name: values.astype(np.float64) for name, values in reversed(stages)}
    if model.description.grey_levels in SEEING_BRIGHTNESS:
        measured[GREY_LEVELS] = measure_grey_levels(tiles)
    return measured | {SHARPNESS: measure_sharpness(tiles)}


def average_tiles(
    measured: Mapping[str, NDArray[np.float64]], samples: NDArray[np.int64]
) -> Measured:
    """Average the tiles of every sample, whose numbers from 0 stand beside the tiles."""
    belongs = (np.arange(samples.max() + 1)[:, None] == samples).astype(np.float64)
    shares = belongs / belongs.sum(axis=1, keepdims=True)
    return {name: shares @ values for name, values in measured.items()}


def add_familiarity(
    out: Path,
    record: R,
    models: Sequence[TileClassifier],
    tiles: Path | None,
    false_alarms: float | None,
    groups: Mapping[str, str] | None = None,
) -> R:
    """Learn what the training samples of the first network are like, and add it to a bundle.

    Networks of the same repeat score the samples that they did not train on: the first ones, until
    there are enough, and all of those that share their features. The limits rest on all of these
    samples, each group counted once. Nothing is added if no sample was held
    out, or fewer than two trained.

    Parameters
    ----------
    out
        The bundle, complete but for this and what depends on it.
    record
        Content of its bundle.json.
    models
        Its networks, in the order of their descriptions.
    tiles
        Tile store of the samples, as the networks judge them.
    false_alarms
        Share of new samples of the same kind that may be called unlike; None: nothing is added.
    groups
        What samples belong to, by name, such as slices to a cell; others are alone.

    Returns
    -------
    PictureRecord
        With what was added.
    """
    (out / REFERENCE_FILE).unlink(missing_ok=True)
    if tiles is None or false_alarms is None:
        return record
    images = pd.read_csv(out / TRAINING_IMAGES_FILE, dtype=str, keep_default_na=False)
    members = record.members
    store = TileStore.open(tiles)
    judged = store.index[store.index["used"] & store.index["kind"].isin(JUDGING_KINDS)]
    places = {str(sample): own.to_numpy() for sample, own in judged.groupby("sample_id")["tile"]}
    has_tiles = images["sample_id"].isin(places.keys())
    divided = [
        (number, *_divide(images.loc[has_tiles, member.column]))
        for number, member in enumerate(members)
        if _is_beside(member, members[0])
    ]
    divided = [(number, known, held) for number, known, held in divided if len(held)]
    if not divided or divided[0][0] or min(len(known) for _, known, _ in divided) < 2:
        return record
    samples = [places.get(str(sample)) for sample in images["sample_id"]]
    first = {id(model): group[0] for group in group_models(models) for model in group}
    names = np.array([(groups or {}).get(str(s), str(s)) for s in images["sample_id"]])
    n_networks = len({id(first[id(models[number])]) for number, _, _ in divided})
    if n_networks > 1:
        divided = divided[: _count_enough([names[held] for _, _, held in divided])]
        n_networks = min(n_networks, len(divided))
    if n_networks > MOST_NETWORKS:
        divided = [divided[place] for place in _spread(np.arange(len(divided)), MOST_NETWORKS)]
        n_networks = MOST_NETWORKS
    most = max(1, MOST_HELD_OUT // len(divided))
    most_known = min(MOST_KNOWN, max(FEWEST_KNOWN, KNOWN_OF_ALL // n_networks))
    measures: dict[int, _SampleMeasures] = {}
    folds, belongings = [], []
    for number, known, held in show_progress(
        divided, "learning what training images are like", unit="network"
    ):
        model = first[id(models[number])]
        if id(model) not in measures:  # of the one before nothing is needed any more
            measures = {id(model): _SampleMeasures(model, store, samples)}
        own = measures[id(model)]
        asked = _spread(held, most)
        folds.append((own.measure(_spread(known, most_known)), own.measure(asked)))
        belongings.append(names[asked])
    one_unit = dict.fromkeys(folds[0][0], 0.0)
    one_unit |= {GREY_LEVELS: HALF_A_LEVEL} if GREY_LEVELS in one_unit else {}
    found = calibrate_reference(folds, false_alarms, groups=belongings, one_unit=one_unit)
    rows = _spread(divided[0][1], most_known).astype(np.int32)
    save_file(pack_reference(found.reference) | {ROWS: rows}, out / REFERENCE_FILE)
    about = describe_calibrated(found, MEASURE, false_alarms, len(rows))
    record = record.model_copy(update={"familiarity": about})
    write_json(out / RECORD_FILE, record.model_dump(mode="json"))
    return record


def read_familiarity(
    folder: Path,
    record: FamiliarityRecord | None,
    images: pd.DataFrame,
    model: TileClassifier,
    tile: torch.Tensor,
) -> Familiarity | None:
    """Read what a bundle knows of its training samples; older bundles know nothing.

    Parameters
    ----------
    folder
        The bundle.
    record
        What bundle.json says of it.
    images
        training_images.csv.
    model
        The first network.
    tile : (1, C, H, W) tensor
        An input of it.

    Raises
    ------
    InputError
        The file is missing or damaged, or does not fit the network or the training images.
    """
    if record is None:
        return None
    path = folder / REFERENCE_FILE
    with read_safely(path):
        arrays = load_file(path)
        rows = np.asarray(arrays.pop(ROWS, []))
        reference = unpack_reference(arrays)
        is_row = rows.dtype == np.int32 and rows.ndim == 1 and len(rows) > 0
        if not is_row or rows.min() < 0 or rows.max() >= len(images):
            raise ValueError(f"{ROWS} names rows that {TRAINING_IMAGES_FILE} does not have")
        tap = FeatureTap(model, tile)
        measured = measure_tiles(model, tile.numpy(), tap.measure(tile.numpy()))
        _check_fit(reference, measured, len(rows))
    return Familiarity(reference, images["path"].to_numpy()[rows].tolist(), tap)


def _check_fit(reference: Reference, measured: Measured, n_rows: int) -> None:
    for name, measure in reference.measures.items():
        if name not in measured:
            raise ValueError(f"the measure {name} is unknown")
        if len(measure.centre) != measured[name].shape[1]:
            raise ValueError(
                f"{name} are {len(measure.centre)} numbers, the network gives "
                f"{measured[name].shape[1]}"
            )
        if len(measure.points) != n_rows:
            raise ValueError(f"{name} are of {len(measure.points)} samples, {n_rows} are named")


def _is_beside(member: Member, first: Member) -> bool:
    """Whether two networks are of the same arm and repeat."""
    arms = [one.column.removesuffix(one.fit_name) for one in (member, first)]
    return arms[0] == arms[1] and member.repeat == first.repeat


def _divide(roles: "pd.Series[str]") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that trained a network, and those that it has not seen."""
    known, test = roles.index[roles == "train"], roles.index[roles == "test"]
    held = test if len(test) else roles.index[roles == "validation"]
    return known.to_numpy(), held.to_numpy()


def _count_enough(groups: Sequence[NDArray[np.str_]]) -> int:
    """Return how many divisions, from the first on, hold out enough groups; all if too few."""
    seen: set[str] = set()
    for count, own in enumerate(groups, 1):
        seen |= set(own.tolist())
        if len(seen) >= ENOUGH_GROUPS:
            return count
    return len(groups)


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of them, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


class _SampleMeasures:
    """Measures samples by one network, each once."""

    def __init__(
        self,
        model: TileClassifier,
        store: TileStore,
        places: Sequence[NDArray[np.int64] | None],
    ) -> None:
        self._store, self._places = store, places
        example = as_batch(np.array(store.tiles[:1]))
        self._tap = FeatureTap(model, example)
        self._kept: dict[int, Measured] = {}

    def measure(self, rows: NDArray[np.int64]) -> Measured:
        """Return the measures of samples, averaged over the tiles of each."""
        waiting: list[int] = []
        for row in rows.tolist():
            waiting += [row] if row not in self._kept else []
            if sum(len(self._find(one)) for one in waiting) >= TILES_AT_A_TIME:
                self._pass(waiting)
                waiting = []
        if waiting:
            self._pass(waiting)
        every = [self._kept[row] for row in rows.tolist()]
        return {name: np.concatenate([one[name] for one in every]) for name in every[0]}

    def _find(self, row: int) -> NDArray[np.int64]:
        places = self._places[row]
        assert places is not None
        return places

    def _pass(self, rows: Sequence[int]) -> None:
        """Pass the tiles of several samples through the network together."""
        places = [self._find(row) for row in rows]
        tiles = np.array(self._store.tiles[np.concatenate(places)])
        samples = np.repeat(np.arange(len(rows)), [len(own) for own in places])
        measured = measure_tiles(self._tap.model, tiles, self._tap.measure(tiles))
        means = average_tiles(measured, samples)
        for number, row in enumerate(rows):
            self._kept[row] = {name: values[number : number + 1] for name, values in means.items()}
