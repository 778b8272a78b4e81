"""All test images of a study with what its arms answered, for the page that people browse."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.targets import Quantity
from batteryscope.evaluation.number_metrics import show_unit
from batteryscope.report.embedded import PAGE_BYTES, pack
from batteryscope.report.evidence import StudyEvidence
from batteryscope.report.number_evidence import NumberEvidence
from batteryscope.report.tables import format_percent
from batteryscope.report.thumbnails import BUDGET_BYTES, PictureSource, make_thumbnails

MOST_LISTED = 2000  # cards; a page of more is slow, and tables/images.csv holds all
UNSURE_SHARE = 0.1  # of an arm's answers, those with the least confidence
CARD_BYTES = 450  # of a card without its picture, and of what the script reads of it
PICTURED = re.compile(  # as tested_images.html.j2 writes a card
    r'<li class="[a-z]*"><img alt="[^"]*" src="data:image/webp;base64,([^"]*)">'
    r'<span class="name">([^<]*)</span>'
)


@dataclass(frozen=True)
class ImageCard:
    """A test image and what the main arm said of it, as it stands on the page without a script.

    ``grade`` is ``right`` or ``wrong``, or empty for numbers; ``thumbnail`` is a WebP or None.
    """

    sample_id: str
    name: str
    truth: str
    answer: str
    grade: str
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class ImageBrowser:
    """What the browser of test images shows.

    Attributes
    ----------
    cards
        In the order of the page: mistakes first, the surest on top; of numbers the largest errors.
    data
        The same of all arms, packed JSON, for the script of the page.
    n_images
        Test images of the main arm; more than cards if they are too many for a page.
    n_pictured, edge_px
        Cards with a thumbnail, and its longer edge.
    arms
        Label of every arm by name, the main one first.
    choices
        What a reader chooses from: the classes, or the predicted quantities.
    """

    cards: tuple[ImageCard, ...]
    data: str
    n_images: int
    n_pictured: int
    edge_px: int
    arms: Mapping[str, str]
    choices: tuple[str, ...]
    is_numbers: bool = False


def read_thumbnails(page: str) -> dict[str, bytes]:
    """Return the small pictures (WebP) of a report's page by the name of their sample."""
    found = PICTURED.findall(page)
    return {html.unescape(name): base64.b64decode(picture) for picture, name in found}


def vote(images: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Join what several networks of an arm say of an image: the mean probability decides.

    Parameters
    ----------
    images
        Test answers of one arm: ``sample_id, y_true, y_pred, p_<class>``, one row per fit.
    classes
        Their names.

    Returns
    -------
    DataFrame
        By ``sample_id``: ``y_true, y_pred, confidence``, ``p_<class>``, ``fits`` and ``right``
        (how many of them were).
    """
    columns = [f"p_{name}" for name in classes]
    # A network gives nothing to a class that it does not know.
    known = images.reindex(columns=[*images.columns.difference(columns), *columns])
    rows = known.fillna(dict.fromkeys(columns, 0.0)).assign(
        right=images["y_true"] == images["y_pred"], fits=1
    )
    groups = rows.groupby("sample_id", sort=True)
    joined = groups[columns].mean()
    best = joined.to_numpy().argmax(axis=1)
    joined["y_pred"] = [classes[i] for i in best]
    joined["confidence"] = joined[columns].max(axis=1)
    joined["y_true"] = groups["y_true"].first()
    # What a single one says counts as it stands, whatever the rounding of its probabilities.
    joined["y_pred"] = joined["y_pred"].where(groups.size() > 1, groups["y_pred"].first())
    joined[["fits", "right"]] = groups[["fits", "right"]].sum().astype(int)
    return joined


def browse_classes(
    evidence: StudyEvidence, workers: int = 1, room_bytes: int = PAGE_BYTES
) -> ImageBrowser | None:
    """Gather the test images of a study of classes; None where no single answers are known.

    Parameters
    ----------
    evidence
        What was measured.
    workers
        Processes that read pictures.
    room_bytes
        What is left of the page.
    """
    images, manifest = evidence.images, evidence.manifest
    if images is None or manifest is None:
        return None
    images = images[images["role"] == "test"] if "role" in images else images
    answered = [column[2:] for column in images.columns if column.startswith("p_")]
    classes = list(dict.fromkeys([*answered, *sorted({*images["y_true"], *images["y_pred"]})]))
    names = [evidence.main_arm, *(a for a in evidence.settings.arms if a != evidence.main_arm)]
    voted = {arm: vote(images[images["arm"] == arm], classes) for arm in names}
    voted = {arm: table for arm, table in voted.items() if len(table)}
    if evidence.main_arm not in voted:
        return None
    main = voted[evidence.main_arm]
    wrong = main["y_true"] != main["y_pred"]
    main = main.assign(wrong=wrong, sure=np.where(wrong, -main["confidence"], main["confidence"]))
    order = main.sort_values(["wrong", "sure"], ascending=[False, True], kind="stable").index
    files = manifest.set_index("sample_id")
    said = {arm: table.to_dict("index") for arm, table in voted.items()}
    cards = []
    for sample in order[:MOST_LISTED]:
        own = said[evidence.main_arm][sample]
        answer = f"{str(own['y_pred']).replace('_', ' ')}, {format_percent(own['confidence'], 0)}"
        grade = "right" if own["y_true"] == own["y_pred"] else "wrong"
        name = str(files["path"].get(sample, sample))
        cards.append(ImageCard(str(sample), name, str(own["y_true"]), answer, grade))
    place = {name: number for number, name in enumerate(classes)}

    def list_answer(row: Mapping[Any, Any]) -> list[Any]:
        shares = [round(100 * float(row[f"p_{name}"]), 1) for name in classes]
        return [place[row["y_pred"]], shares, int(row["right"]), int(row["fits"])]

    answers = {
        arm: [
            list_answer(rows[card.sample_id]) if card.sample_id in rows else None for card in cards
        ]
        for arm, rows in said.items()
    }
    maps: dict[str, list[str]] = {}
    arm = evidence.arms.get(evidence.main_arm)
    for explained in arm.explanations if arm else ():
        maps.setdefault(explained.sample_id, []).append(explained.file.rsplit(".", 1)[0])
    shown_classes = tuple(name.replace("_", " ") for name in classes)
    data: dict[str, Any] = {
        "classes": shown_classes,
        "truth": [place[card.truth] for card in cards],
        "answers": answers,
        "unsure": {
            arm: round(100 * float(table["confidence"].quantile(UNSURE_SHARE)), 1)
            for arm, table in voted.items()
        },
        "maps": [maps.get(card.sample_id, []) for card in cards],
        "crops": _list_crops(evidence, [card.sample_id for card in cards]),
    }
    source = PictureSource(
        manifest,
        evidence.dataset_dir,
        evidence.tile_index,
        evidence.tiles,
        evidence.settings.dataset.max_pixels,
    )
    labels = {arm: evidence.label_of(arm) for arm in voted}
    found = ImageBrowser((), "", len(main), 0, 0, labels, shown_classes)
    return _add_pictures(found, cards, data, source, files, workers, room_bytes)


def _list_crops(evidence: StudyEvidence, samples: Sequence[str]) -> list[list[list[float]]]:
    """Return the judged crops: left, top, width, height (shares of the picture), if wrong."""
    index, manifest = evidence.tile_index, evidence.manifest
    if index is None or manifest is None or not evidence.settings.preprocess.cuts_in_place:
        return [[] for _ in samples]
    judged = index[index["used"] & (index["kind"] != "random") & index["sample_id"].isin(samples)]
    size = manifest.set_index("sample_id")[["width_px", "height_px"]]
    wrong: set[int] = set()
    if (mistakes := evidence.misclassified) is not None:
        is_mine = mistakes["arm"] == evidence.main_arm if "arm" in mistakes else True
        wrong = set(mistakes.loc[is_mine & (mistakes["level"] == "tile"), "tile"].astype(int))
    crops: dict[str, list[list[float]]] = {}
    for row in judged.to_dict("records"):
        width, height = (float(value) for value in size.loc[row["sample_id"]])
        high = float(row.get("crop_height_px", row["crop_px"]))
        parts = (row["x_px"] / width, row["y_px"] / height, row["crop_px"] / width, high / height)
        crops.setdefault(str(row["sample_id"]), []).append(
            [*(round(float(part), 4) for part in parts), int(row["tile"] in wrong)]
        )
    return [crops.get(sample, []) for sample in samples]


def browse_quantities(
    evidence: NumberEvidence, workers: int = 1, room_bytes: int = PAGE_BYTES
) -> ImageBrowser | None:
    """Gather the test images of a study of numbers; None where the main arm tested none.

    Parameters are those of :func:`browse_classes`.
    """
    tested = evidence.images[evidence.images["role"] == "test"]
    names = [evidence.main_arm, *(a for a in evidence.plan.arms if a != evidence.main_arm)]
    tested = tested[tested["arm"].isin(names)].dropna(subset=["y_true", "y_pred"])
    means = tested.groupby(["arm", "target", "sample_id"])[["y_true", "y_pred"]].mean()
    means["error"] = means["y_pred"] - means["y_true"]
    arms = [arm for arm in names if arm in means.index.get_level_values("arm")]
    if evidence.main_arm not in arms:
        return None
    main = means.loc[evidence.main_arm]
    spread = main["y_true"].groupby("target").std(ddof=0).replace(0, np.nan)
    relative = (main["error"].abs() / spread.reindex(main.index, level="target")).fillna(0)
    order = relative.groupby("sample_id").mean().sort_values(ascending=False, kind="stable").index
    targets = [q.name for q in evidence.quantities if q.name in set(tested["target"])]
    quantities = {q.name: q for q in evidence.quantities}
    files = evidence.manifest.set_index("sample_id")
    first = next(t for t in targets if t in main.index.get_level_values("target"))
    unit = show_unit(quantities[first].unit)
    pairs = zip(main["y_true"].tolist(), main["y_pred"].tolist(), strict=True)
    by_sample = dict(zip(main.index.tolist(), pairs, strict=True))
    cards = []
    for sample in [str(name) for name in order[:MOST_LISTED]]:
        truth, answer = "", ""
        if (first, sample) in by_sample:
            is_value, said = by_sample[first, sample]
            truth, answer = f"{is_value:.4g} {unit}", f"{said:.4g} ({said - is_value:+.2g})"
        cards.append(ImageCard(sample, str(files["path"].get(sample, sample)), truth, answer, ""))
    values: dict[Any, float] = means["y_pred"].to_dict()
    truths = means["y_true"].groupby(["target", "sample_id"]).first().to_dict()

    def pick(known: Mapping[Any, float], key: tuple[str, ...]) -> float | None:
        return float(f"{known[key]:.5g}") if key in known else None

    arm = evidence.main_arm
    explained = set(evidence.maps[arm].samples) if arm in evidence.maps else set()
    figures = [f"methods_{arm}", *(f"methods_{arm}_{target}" for target in targets)]
    data = {
        "quantities": [
            {"label": _name_quantity(quantities[t]), "unit": show_unit(quantities[t].unit)}
            for t in targets
        ],
        "truth": [[pick(truths, (t, card.sample_id)) for t in targets] for card in cards],
        "answers": {
            arm: [[pick(values, (arm, t, card.sample_id)) for t in targets] for card in cards]
            for arm in arms
        },
        "maps": [figures if card.sample_id in explained else [] for card in cards],
        "crops": [[] for _ in cards],
    }
    source = PictureSource(
        evidence.manifest,
        evidence.dataset_dir,
        None,
        None,
        evidence.settings.dataset.max_pixels,
    )
    labels = {arm: evidence.label(arm) for arm in arms}
    choices = tuple(_name_quantity(quantities[target]) for target in targets)
    n_images = main.index.get_level_values("sample_id").nunique()
    found = ImageBrowser((), "", n_images, 0, 0, labels, choices, is_numbers=True)
    return _add_pictures(found, cards, data, source, files, workers, room_bytes)


def _name_quantity(quantity: Quantity) -> str:
    """Return what tells a quantity from the others: its place on the axis, if it has one."""
    if quantity.at is None:
        return quantity.label
    return f"{quantity.label} at {quantity.title} in {show_unit(quantity.unit)}"


def _add_pictures(
    found: ImageBrowser,
    cards: Sequence[ImageCard],
    data: dict[str, Any],
    source: PictureSource,
    files: pd.DataFrame,
    workers: int,
    room_bytes: int,
) -> ImageBrowser:
    """Give the cards their thumbnails, and pack what the script reads."""
    budget = min(BUDGET_BYTES, room_bytes - CARD_BYTES * len(cards))
    pictures, edge_px = make_thumbnails([c.sample_id for c in cards], source, workers, budget)
    specimens: dict[Any, Any] = {}
    if "specimen_id" in files:
        specimens = files["specimen_id"].fillna("").to_dict()
    data["arms"] = dict(found.arms)
    data["specimens"] = [str(specimens.get(card.sample_id, "")) for card in cards]
    return replace(
        found,
        cards=tuple(replace(card, thumbnail=pictures.get(card.sample_id)) for card in cards),
        data=pack(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()),
        n_pictured=len(pictures),
        edge_px=edge_px,
    )
