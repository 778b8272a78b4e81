"""Settings and reason codes in plain words."""

from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

from batteryscope.config.learning import BalanceSettings, ModelSettings
from batteryscope.config.preprocess import (
    CoatingCropSettings,
    CtSlicesSettings,
    PreprocessSettings,
    SemTilesSettings,
    SemWholeSettings,
    find_tile_shape,
)
from batteryscope.config.split import SplitSettings
from batteryscope.core.baseline_catalogue import OF_CLASSES, find_words
from batteryscope.samples.choose import samples_cut_by

REJECT_REASONS = {
    "unreadable": "cannot be read as a picture",
    "truncated": "the file ends too early",
    "empty": "no content",
    "duplicate_content": "the same picture is there already",
    "conflicting_labels": "the same picture has two different labels",
    "missing_label": "no label",
    "wrong_label": "a row of a table, or a value in it, that cannot be used",
    "wrong_size": "not the expected size",
    "too_large": "more pixels than allowed",
    "unsupported": "a file format that is not supported",
    "no_capacity": "the table of capacities lacks its electrode",
    "no_quantity": "a number to predict is missing or unreadable",
    "outside_range": "a number to predict is outside of its range",
    "no_images": "the table of numbers names specimens or files without an image",
    "coloured": "a colour picture",
    "no_collector": "no current collector found",
    "two_collectors": "several coated sides, none of them chosen",
    "coating_too_thin": "less coating than the crop needs",
    "no_cell": "no cell found in the slice",
    "no_winding": "no windings seen in the slice",
}
# Of all findings, whatever was predicted.
FINDING_TITLES = {
    "allowed_leakage": "Training and test data",
    "baseline": "Baselines",
    "baselines": "Baselines",
    "confounding": "Confounding",
    "leakage": "Training and test data",
    "shortcut": "Could a shortcut explain it?",
    "metadata": "Microscope settings",
    "single_fold": "Trained once",
    "single_fit": "Trained once",
    "calibration": "Calibration",
    "sets": "Sets of classes",
    "survey": "Experts",
    "external": "External data",
    "pairs": "The strategies beside each other",
    "unjudged": "Without a verdict",
    "grey_levels_at_test": "Tested with other grey levels than trained with",
    "covariates": "Do covariates help?",
    "test_validation": "Validation and test data",
    "computed_labels": "Capacities that nobody measured",
    "proxy": "Does it need a network?",
    "unknown_porosity": "Unlike all that was trained on",
    "leak": "One specimen in training and test",
    "few_targets": "Few different values",
    "trade_off": "Per litre and per kilogram",
    "constant": "Where hardly anything varies",
    "coverage": "Intervals",
    "intervals": "Intervals",
    "no_percentage": "No percentage of zero",
    "transfer": "Does transfer pay?",
    "pretrained": "The source as it is",
    "break_even": "How many rows transfer saves",
    "constant_feature": "A feature that never changes",
    "few_rows": "Few rows",
    "one_answer": "A network that got stuck",
}


def name_samples(preprocess: PreprocessSettings) -> str:
    """Return what the samples of a study are, in the plural."""
    return samples_cut_by(preprocess).plural


def describe_baselines(arms: Iterable[str], samples: str) -> str:
    """Return what the baselines among the arms of a comparison see."""
    seen = [words.sees for arm in arms if (words := find_words(arm, OF_CLASSES)).sees]
    if not seen:
        return ""
    return (
        f"Baselines are given the same training and test {samples}: {'; '.join(seen)}. What they "
        "reach does not need a network."
    )


def describe_map_shape(shape: tuple[int, int], preprocess: PreprocessSettings) -> str:
    """Return how coarse the maps of a network are, before they are enlarged to the tile."""
    rows, columns = shape
    text = f"The network's own map has {rows} × {columns} cells"
    if preprocess.unrolls:
        return (
            f"{text} (radii × directions), enlarged to the tile; the mean over several "
            "beginnings of the tile smooths the directions. Finer detail is interpolation."
        )
    return f"{text} (rows × columns of the crop), enlarged. Finer detail is interpolation."


def title_finding(kind: str) -> str:
    """Return the heading of a finding."""
    return FINDING_TITLES.get(kind, kind.replace("_", " ").capitalize() or "Note")


def grade_finding(finding: Mapping[str, Any]) -> str:
    """Return how a finding is coloured: ``good``, ``alarm`` or, in doubt, ``warning``.

    A finding may state its ``level``. Otherwise a lost comparison with a baseline alarms
    and a survey is neutral (``plain``).
    """
    stated = str(finding.get("level", ""))
    if stated in ("good", "warning", "alarm", "plain"):
        return stated
    kind, text = str(finding.get("kind", "")), str(finding.get("text", ""))
    if kind.startswith("baseline"):
        return "good" if "beats every baseline" in text else "alarm"
    return "plain" if kind in ("survey", "external") else "warning"


@singledispatch
def describe_tiles(preprocess: PreprocessSettings) -> str:
    """Return how pictures or scans became tiles.

    Raises
    ------
    NotImplementedError
        Nobody has said it of this method.
    """
    raise NotImplementedError(preprocess.method)


@describe_tiles.register
def _describe_slices(preprocess: CtSlicesSettings) -> str:
    sentence = (
        "In every slice the can (a circle) and the hollow core were found, and the centre of the "
        f"core was smoothed over {preprocess.smooth_slices} slices. "
    )
    radii = f"{preprocess.half_edge_radii:g} radii of the can"
    if preprocess.unroll:
        rows, columns = find_tile_shape(preprocess)
        sentence += (
            f"What lies within {radii} around it was unrolled: a row per distance from the core "
            "(the core at the top), a column per direction, so that windings become lines "
            f"({rows} × {columns} pixels). "
        )
    else:
        sentence += (
            f"A square with half an edge of {radii} was cut around it and resized to "
            f"{preprocess.input_px} pixels. "
        )
    if preprocess.contrast != "none":
        low, high = preprocess.percentiles
        sentence += f"Grey levels were stretched between percentiles {low:g} and {high:g} of a crop"
        sentence += ", then equalised locally. " if preprocess.contrast == "clahe" else ". "
    if preprocess.stack_step:
        step = preprocess.stack_step
        sentence += (
            f"The slices z − {step}, z and z + {step} are the three channels of an input; at the "
            "ends of a scan the nearest existing slice stands in. "
        )
    return sentence + (
        f"Slices whose windings have a regularity below {preprocess.min_regularity:g} "
        "(end caps, heavy damage) were left out."
    )


@singledispatch
def describe_preview(preprocess: PreprocessSettings) -> str:
    """Return the caption of the picture that preprocessing left."""
    return "How the pictures were cut."


@describe_preview.register
def _describe_slice_preview(preprocess: CtSlicesSettings) -> str:
    seen = "the unrolled windings within the chosen radii, core above"
    return (
        "How the slices were cut: slice, square around the core, and windings unrolled up to the "
        f"can, core below. The network sees {seen if preprocess.unroll else 'the square'}."
    )


def describe_split(split: SplitSettings, samples: str = "images") -> str:
    """Return how the samples (called so) were divided, in one or two sentences."""
    test = f"{100 * split.test_fraction:.3g} %"
    if split.validate_on_test:
        picks = "the same part picks the best epoch (split.validate_on_test)"
    else:
        share = f"{100 * split.validation_fraction:.3g} %"
        picks = f"a validation part (share {share}) picks the best epoch"
    conditions = [
        f"{column} {' or '.join(map(str, value)) if isinstance(value, list) else value}"
        for column, value in split.test_where.items()
    ]
    which = f" with {' and '.join(conditions)}" if conditions else ""
    sentences = {
        "holdout": (
            f"{test} of the {samples}{which} were set aside as the test part before anything else; "
            f"{picks}; the rest trains."
        ),
        "kfold": (
            f"The {samples}{which} were divided into {split.folds} parts. Each is the test part "
            f"once, {picks}, the rest trains."
        ),
        "holdout_kfold": (
            f"{test} of the {samples}{which} are an untouched test part. The rest was divided into "
            f"{split.folds} parts, each of which picks the best epoch once while the others train."
        ),
        "ordered": (
            f"In each class, the last {test} of the {samples}{which} in the order of acquisition "
            f"are the test part; {picks}."
        ),
    }
    sentence = sentences[split.scheme]
    if which:
        sentence += f" All other {samples} only train and validate."
    if split.repeats > 1:
        sentence += f" This was repeated {split.repeats} times with different random divisions."
    return sentence


def describe_group(
    split: SplitSettings, groups: int, samples: int, preprocess: PreprocessSettings | None = None
) -> str:
    """Return what moves together in the split.

    Parameters
    ----------
    split
        The settings.
    groups, samples
        How many groups and samples there are.
    preprocess
        What the samples are made by; None for images.
    """
    noun = "image" if preprocess is None else samples_cut_by(preprocess).noun
    if groups == samples and split.group == "slice":
        return (
            "Every slice is a group of its own: neighbouring slices of one cell, nearly the same "
            "picture, stand in training and in test, which flatters the result."
        )
    if groups == samples:
        return (
            "Every image is a group of its own: images of one specimen or one session at the "
            "microscope may stand in training and in test, which flatters the result."
        )
    unit = "" if split.group == "auto" else f" (one group per {split.group})"
    return (
        f"The {samples} {noun}s form {groups} groups{unit}; a group never stands in two parts, "
        f"so that no test {noun} has a sibling in training."
    )


def describe_balance(stages: Iterable[BalanceSettings]) -> str:
    """Return how stages treat classes of unequal size; empty if none does."""
    found = {(stage.method, stage.reference) for stage in stages}
    texts = []
    for reference in ("largest", "second_largest"):
        if ("oversample", reference) in found:
            size = reference.replace("_", " ")
            texts.append(
                f"Oversampling: the training images of every class smaller than the {size} one are "
                "replicated, with all their tiles, up to its number of images; larger classes stay "
                "as they are."
            )
    methods = {method for method, _ in found}
    if "class_weights" in methods:
        texts.append(
            "Class weights: the loss of a tile weighs 1/n, n being the number of training images "
            "of its class, normalised so that the weights of all training tiles average to 1."
        )
    if "class_balanced" in methods:
        texts.append(
            "Class-balanced batches: every class is drawn equally often, with replacement; an "
            "epoch stays as long as without."
        )
    return " ".join(texts)


@describe_tiles.register
def _describe_frames(preprocess: SemTilesSettings) -> str:
    sentence = (
        f"Square tiles of {preprocess.crop_px} pixels were cut from the frames, never from the "
        f"data bar, and resized to {preprocess.input_px} pixels. "
        f"{_describe_training_tiles(preprocess)} Every image is judged by "
        f"{preprocess.grid_tiles} evenly spaced tiles{_describe_scales(preprocess)}."
    )
    if preprocess.min_local_sd > 0:
        sentence += " Tiles that show only empty background were left out."
    return sentence


def describe_flips(model: ModelSettings) -> str:
    """Return what is averaged when a tile is judged, as a further sentence, if anything is."""
    copies = {"columns": "its mirror image", "both": "its three mirror images"}
    if model.flips_at_test == "none":
        return ""
    return f" The answer to a tile is the mean of those to it and to {copies[model.flips_at_test]}."


def _describe_scales(preprocess: SemTilesSettings) -> str:
    if preprocess.grid_crops_px is None:
        return ""
    edges = " and ".join(str(edge) for edge in preprocess.grid_crops_px)
    each = " each" if len(preprocess.grid_crops_px) > 1 else ""
    return f"{each} of {edges} pixels, resized alike"


@describe_tiles.register
def _describe_whole(preprocess: SemWholeSettings) -> str:
    edge = preprocess.input_px
    sentence = (
        "What each frame shows above its data bar was resized as a whole to "
        f"{edge}×{edge} pixels, its aspect ratio not being kept. One input is one image, so the "
        "network judges images without any vote."
    )
    if preprocess.min_local_sd > 0:
        sentence += " Frames that show only empty background were left out."
    return sentence


def _describe_training_tiles(preprocess: SemTilesSettings) -> str:
    if preprocess.tiles_per_class is None:
        return (
            f"{preprocess.tiles_per_image} tiles at random places of every training image train "
            "the network."
        )
    return (
        f"{preprocess.tiles_per_class} tiles per class train the network, at random places and "
        "spread evenly over the training images of the class."
    )


def describe_vote(unit: str, preprocess: PreprocessSettings) -> str:
    """Return how a verdict comes about; ``unit`` is what is judged, such as ``image``."""
    who = f"{'An' if unit == 'image' else 'A'} {unit}"
    if isinstance(preprocess, SemWholeSettings) and unit == "image":
        return f"{who} is seen as a whole: its own probabilities decide, without a vote."
    return f"{who} is judged by soft vote: the mean of the probabilities of its tiles decides."


@describe_tiles.register
def _describe_coating(preprocess: CoatingCropSettings) -> str:
    """Tell which crops trained and which judge a picture."""
    size = f"{preprocess.crop_width_px}×{preprocess.crop_height_px} pixels"
    n_judge, n_train = preprocess.judging_crops, preprocess.training_crops
    start = "The foil was found as a bright band, and the coating straightened along its edge. "
    if preprocess.colour:
        start += (
            "Red, green and blue are the three channels of an input; foil and coating were found "
            "by brightness. "
        )
    if n_judge == 1 and n_train == 0:
        return f"{start}Of its largest undamaged rectangle the middle {size} were kept."
    places = f"{n_train} at random places" if n_train else "the middle one"
    judges = (
        f"{n_judge}, spread evenly from collector to surface," if n_judge > 1 else "the middle one"
    )
    text = (
        f"{start}From its largest undamaged rectangle crops of {size} were taken: {places} for "
        f"training, and {judges} for judging a picture."
    )
    if n_judge > 1:
        text += (
            f" The prediction is the mean of the {n_judge}; explanations show only the crop "
            "nearest the middle."
        )
    return text


@describe_preview.register
def _describe_coating_preview(preprocess: CoatingCropSettings) -> str:
    several = preprocess.judging_crops > 1 or preprocess.training_crops > 0
    last = (
        "the middle crop at the size the network gets (which crops train and judge stands under "
        "Method)"
        if several
        else "the crop as the network gets it"
    )
    return (
        "One image: line fitted to the foil (brown), edge of the foil (orange) and surface of the "
        "coating (blue); the straightened picture; the largest rectangle of coating without "
        "artefacts (red; what is not coating is dimmed) and its middle (green); "
        f"{last}. preview.png among the tiles shows the steps for one image per class."
    )
