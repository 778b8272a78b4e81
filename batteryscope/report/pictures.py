"""Which figures a study's report has, drawn from its evidence."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from batteryscope.config.evaluate import NOT_OF_ARMS
from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.core.style import BLUE, INK, Picture, encode_picture
from batteryscope.report.bars import draw_class_sizes, draw_comparison, draw_survey
from batteryscope.report.capacity_over_cycles import draw_capacities
from batteryscope.report.confusion import show_confusion, show_confusions
from batteryscope.report.curves import draw_training_curves
from batteryscope.report.evidence import OTHERS_SHOWN, Fit, StudyEvidence
from batteryscope.report.headline import Headline
from batteryscope.report.input_tables import plan_or_none
from batteryscope.report.learning_curve import show_learning_curve
from batteryscope.report.mistakes import draw_mistakes, select_mistakes
from batteryscope.report.reliability import calculate_calibration_error, draw_reliability
from batteryscope.report.shared_figures import draw_shared_figures, share_pictures
from batteryscope.report.shortcuts import show_shortcut_picture
from batteryscope.report.shown_same_tiles import draw_same_tiles, find_widths_um
from batteryscope.report.slices import choose_samples, draw_confidence_per_class, draw_samples
from batteryscope.report.sure_answers import show_risk_picture
from batteryscope.report.tables import (
    LEVEL_NAMES,
    as_fraction,
    format_percent,
    order_arms,
    select_rows,
)
from batteryscope.samples.choose import samples_in
from batteryscope.tilestore import take_plane

SAMPLES_SHOWN = 9
KEY_ROWS = 40
ROLES = ("train", "validation", "test")


def draw_pictures(
    evidence: StudyEvidence, headline: Headline | None, workers: int = 1
) -> dict[str, Picture]:
    """Draw every figure that the evidence allows; the rest is simply not in the result.

    Parameters
    ----------
    evidence, headline
        What was measured.
    workers
        Processes that draw.

    Returns
    -------
    dict
        By name: ``key_figure``, ``confusion``, ``confusions`` (of all arms), ``same_tiles``,
        ``misclassified``, ``reliability``, ``risk_coverage``, ``class_sizes``,
        ``class_copies``, ``capacity_over_cycles``, ``grey_histograms``, ``shortcuts``, ``survey``,
        ``sweep_<name>`` and ``curves_<chain>`` for every trained stage.
    """
    shared = share_pictures(evidence)
    pieces: list[Callable[[], Picture | Iterator[Picture] | None]] = [
        lambda: _key_figure(evidence, headline),
        lambda: show_learning_curve(evidence, headline),
        lambda: show_confusion(evidence, headline),
        lambda: show_confusions(evidence, headline),
        lambda: draw_same_tiles(evidence),
        lambda: _misclassified(evidence),
        lambda: _reliability(evidence),
        lambda: show_risk_picture(evidence),
        lambda: _class_sizes(evidence),
        lambda: _class_copies(evidence),
        lambda: draw_capacities(evidence),
        lambda: show_shortcut_picture(evidence),
        lambda: _survey(evidence, headline),
        lambda: iter(draw_shared_figures(shared)),
        lambda: _slices(evidence),
        lambda: _curves(evidence),
    ]

    def draw(piece: Callable[[], Picture | Iterator[Picture] | None]) -> list[Picture]:
        drawn = piece()
        if drawn is None or isinstance(drawn, Picture):
            return [drawn] if drawn else []
        return list(drawn)

    drawn = call_side_by_side([partial(draw, piece) for piece in pieces], workers)
    return {picture.name: picture for pictures in drawn for picture in pictures}


def _key_figure(evidence: StudyEvidence, headline: Headline | None) -> Picture | None:
    if headline is None:
        return None
    found = select_rows(evidence.comparison, headline.level, "", "accuracy").dropna(subset="mean")
    found = found.drop_duplicates("arm").set_index("arm")
    arms = order_arms(evidence.comparison, list(evidence.settings.arms), headline.arm)
    apart = {*evidence.settings.curve_arms, *evidence.settings.mismatched_arms}
    arms = [arm for arm in arms if arm in found.index and arm not in apart]
    n_arms = len(arms)
    arms = _keep_best(arms, found["mean"], headline.arm)
    rows = pd.DataFrame(
        {
            "label": [
                ("baseline: " if arm.startswith("baseline_") else "") + evidence.label_of(arm)
                for arm in arms
            ],
            "mean": found.loc[arms, "mean"].to_numpy(float),
            "sd": found.loc[arms, "sd"].to_numpy(float),
            "baseline": [arm.startswith("baseline") for arm in arms],
            "main": [arm == headline.arm for arm in arms],
        }
    )
    unit = f"{LEVEL_NAMES[headline.level]}s"
    paper = [
        (f"paper, {LEVEL_NAMES[value.level]}s", as_fraction(value.value))
        for value in evidence.settings.evaluate.paper
        if value.metric == "accuracy" and not value.target and not value.domain
        if (not value.arm or value.arm in arms) and value.level not in NOT_OF_ARMS
    ]
    figure = draw_comparison(
        rows, headline.chance, paper, f"test {unit} put into the right class (n = {headline.n})"
    )
    caption = (
        f"Share of test {unit} put into the right class, for every strategy (blue, the published "
        "one darker) and every baseline (grey)."
    )
    if (rows["sd"].fillna(0) > 0).any():
        caption += " Whiskers: standard deviation over folds and repeats."
    if paper:
        caption += " Diamonds: the paper's own number."
    if len(arms) < n_arms:
        best = min(len(arms), KEY_ROWS)
        caption += f" Of {n_arms} rows, the {best} best and the published one are shown."
    return encode_picture(figure, "key_figure", caption, evidence.generated, narrow=True)


def _keep_best(arms: list[str], means: pd.Series, main: str) -> list[str]:
    """Keep as many arms and baselines as a figure has room for, in their order."""
    best = means[arms].sort_values(ascending=False, kind="stable").index[:KEY_ROWS]
    return [arm for arm in arms if arm == main or arm in set(best)]


def _misclassified(evidence: StudyEvidence) -> Picture | None:
    count = evidence.settings.explain.misclassified_tiles
    if evidence.misclassified is None or count == 0:
        return None
    rows = evidence.misclassified
    if "arm" in rows:
        rows = rows[rows["arm"] == evidence.main_arm]
    level = next((n for n in ("tile", "slice") if (rows["level"] == n).any()), "image")
    rows = rows[rows["level"] == level]
    if rows.empty:
        return None
    chosen = select_mistakes(rows, count)
    pictures = _find_pictures(evidence, chosen)
    several = ", one per image as long as there are enough" if level == "tile" else ""
    caption = (
        f"The {len(chosen)} most confident of {len(rows)} mistakes among the test "
        f"{LEVEL_NAMES[level]}s{several}. Green: the true class; orange-red: the model's answer; "
        "the bars are the model's probabilities."
    )
    figure, narrow = (
        draw_mistakes(chosen, pictures, LEVEL_NAMES[level], find_widths_um(evidence), narrow=small)
        for small in (False, True)
    )
    return encode_picture(figure, "misclassified", caption, evidence.generated, narrow)


def _tile_picture(evidence: StudyEvidence, tile: float) -> np.ndarray | None:
    if evidence.tiles is None or pd.isna(tile) or not 0 <= int(tile) < len(evidence.tiles):
        return None
    return take_plane(np.asarray(evidence.tiles[int(tile)]))


def _find_tiles(evidence: StudyEvidence, rows: pd.DataFrame) -> list[int]:
    """The tile of every row; where the row is a whole sample, that sample's tile, -1 without."""
    whole: dict[str, int] = {}
    if evidence.tile_index is not None:
        used = evidence.tile_index[evidence.tile_index["kind"] == "whole"]
        whole = dict(zip(used["sample_id"], used["tile"], strict=True))
    pairs = zip(rows["sample_id"], rows["tile"], strict=True)
    return [int(t if t >= 0 else whole.get(s, -1)) for s, t in pairs]


def _find_pictures(evidence: StudyEvidence, rows: pd.DataFrame) -> list[np.ndarray | None]:
    return [_tile_picture(evidence, tile) for tile in _find_tiles(evidence, rows)]


def _slices(evidence: StudyEvidence) -> Iterator[Picture]:
    """Samples with their verdict, and the confidence per class, of slices of scans."""
    if evidence.images is None or not (evidence.comparison["level"] == "slice").any():
        return
    mine = evidence.images[evidence.images["arm"] == evidence.main_arm]
    columns = [c for c in mine.columns if c.startswith("p_")]
    mine = mine.assign(confidence=mine[columns].max(axis=1))
    chosen = choose_samples(mine, SAMPLES_SHOWN, evidence.settings.split.seed)
    found = zip(chosen.index, _find_pictures(evidence, chosen), strict=True)
    pictures = {i: picture for i, picture in found if picture is not None}
    if pictures:
        shown, known = chosen.loc[list(pictures)], find_widths_um(evidence)
        widths = [known.get(tile) for tile in _find_tiles(evidence, shown)]
        figure = draw_samples(shown, list(pictures.values()), widths)
        narrow = draw_samples(shown, list(pictures.values()), widths, narrow=True)
        caption = (
            f"{len(pictures)} test slices drawn by lot, with the model's answer and its "
            "confidence. Green: right; orange-red: wrong, with the true class."
        )
        yield encode_picture(figure, "samples", caption, evidence.generated, narrow)
    caption = "How sure the model is of its answers, per true class of the test slices."
    figure = draw_confidence_per_class(mine)
    yield encode_picture(figure, "confidence_per_class", caption, evidence.generated, narrow=True)


def _reliability(evidence: StudyEvidence) -> Picture | None:
    if evidence.reliability is None:
        return None
    bins = evidence.reliability[evidence.reliability["arm"] == evidence.main_arm]
    unit = "tiles"
    if "level" in bins and len(bins):
        levels = list(bins["level"].unique())
        level = "image" if "image" in levels else levels[0]
        bins, unit = bins[bins["level"] == level], f"{LEVEL_NAMES.get(level, level)}s"
    if bins.empty or bins["count"].sum() == 0:
        return None
    scaled = None
    if "scaled" in bins:
        is_scaled = bins["scaled"].astype(str).str.lower() == "true"
        main = evidence.arms.get(evidence.main_arm)
        published = main is None or main.calibration.get("helps", True)
        scaled = bins[is_scaled] if is_scaled.any() and published else None
        bins = bins[~is_scaled] if (~is_scaled).any() else bins
    caption = (
        "Left: how often the model is right, over how sure it is; on the dashed line a confidence "
        f"of 80 % is right in 80 % of the cases. Larger dots hold more test {unit}; orange-red "
        "lines are the gap. Right: how often each confidence occurs, as predicted."
    )
    caption += f" The mean gap is {format_percent(gap := calculate_calibration_error(bins))}"
    if scaled is not None:
        scaled_gap = calculate_calibration_error(scaled)
        caption += (
            f", {format_percent(scaled_gap)} when scaled. Temperature scaling divides the "
            "network's outputs by one number, chosen on the validation part; the answers stay "
            "the same"
        )
        if scaled_gap > gap:
            caption += f". On these test {unit} it made the gap larger"
    caption += "."
    figure = draw_reliability(bins, unit, scaled)
    return encode_picture(figure, "reliability", caption, evidence.generated, narrow=True)


def count_roles(split: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Count the images per class (rows) and role (columns) in the first fold."""
    first = split.sort_values(["repeat", "fold"]).iloc[0]
    rows = split[(split["repeat"] == first["repeat"]) & (split["fold"] == first["fold"])]
    rows = rows.merge(manifest[["sample_id", "class"]], on="sample_id")
    counts = pd.crosstab(rows["class"], rows["role"])
    return counts[[role for role in ROLES if role in counts]].sort_index()


def _class_sizes(evidence: StudyEvidence) -> Picture | None:
    manifest = evidence.manifest
    if manifest is None or "class" not in manifest or manifest.empty:
        return None
    samples = samples_in(manifest.columns).plural
    if evidence.split is not None and len(evidence.split):
        counts = count_roles(evidence.split, manifest)
        folds = len(evidence.split[["repeat", "fold"]].drop_duplicates())
        where = " in the first fold" if folds > 1 else ""
        caption = f"{samples.capitalize()} per class and their role{where}."
    else:
        counts = manifest["class"].value_counts().sort_index().to_frame(samples)
        caption = f"{samples.capitalize()} per class."
    counts.index = pd.Index([str(name).replace("_", " ") for name in counts.index])
    figure = draw_class_sizes(counts, samples)
    return encode_picture(figure, "class_sizes", caption, evidence.generated, narrow=True)


def count_copies(
    balance: pd.DataFrame, tile_index: pd.DataFrame, manifest: pd.DataFrame
) -> pd.DataFrame:
    """Count the images per class that train in the first fold, and what copies add to them.

    Parameters
    ----------
    balance
        ``repeat, fold, tile, copies`` of the training tiles of a stage.
    tile_index, manifest
        Whose tiles they are, and of which class.

    Returns
    -------
    DataFrame
        Columns ``images`` and ``added by copies``, one row per class.
    """
    first = balance.sort_values(["repeat", "fold"]).iloc[0]
    fold = balance[(balance["repeat"] == first["repeat"]) & (balance["fold"] == first["fold"])]
    owner = tile_index.set_index("tile")["sample_id"]
    images = fold.assign(sample_id=fold["tile"].map(owner)).drop_duplicates("sample_id")
    classes = images["sample_id"].map(manifest.set_index("sample_id")["class"])
    copies = images["copies"].groupby(classes.to_numpy())
    counts = pd.DataFrame({"images": copies.size(), "after": copies.sum()})
    counts["added by copies"] = counts.pop("after") - counts["images"]
    return counts.sort_index()


def _class_copies(evidence: StudyEvidence) -> Picture | None:
    pieces = (evidence.balance, evidence.tile_index, evidence.manifest)
    balance, index, manifest = pieces
    if balance is None or index is None or manifest is None or balance.empty:
        return None
    counts = count_copies(balance, index, manifest)
    counts.index = pd.Index([str(name).replace("_", " ") for name in counts.index])
    after = counts.sum(axis=1)
    caption = (
        "Training images per class of the last stage in the first fold, before oversampling "
        f"({counts['images'].min()} to {counts['images'].max()}) and with the copies of rare "
        f"classes ({after.min()} to {after.max()})."
    )
    figure = draw_class_sizes(counts)
    return encode_picture(figure, "class_copies", caption, evidence.generated, narrow=True)


def _survey(evidence: StudyEvidence, headline: Headline | None) -> Picture | None:
    survey = evidence.survey
    if survey is None or survey.empty:
        return None
    kinds = survey["kind"] if "kind" in survey else pd.Series("expert", index=survey.index)
    # The best expert stands among the experts already.
    rows = survey.loc[kinds != "best", ["who", "accuracy"]].copy()
    colours = dict.fromkeys(survey.loc[kinds == "mean", "who"], INK)
    colours |= dict.fromkeys(survey.loc[kinds == "model", "who"], BLUE)
    if "kind" not in survey and headline is not None:
        model = pd.DataFrame({"who": ["model"], "accuracy": [headline.accuracy]})
        rows = pd.concat([rows, model], ignore_index=True)
        colours["model"] = BLUE
    caption = "Right answers of the experts (grey), of their mean (black) and of the model (blue)."
    figure = draw_survey(rows, colours)
    return encode_picture(figure, "survey", caption, evidence.generated, narrow=True)


def choose_stages(evidence: StudyEvidence) -> list[str]:
    """Return the stages whose curves are drawn: the main arm's, and others as there is room."""
    trained = [chain for chain, fits in evidence.stages.items() if fits]
    plan = plan_or_none(evidence)
    main = set(plan.main.chains) if plan is not None else set()
    others = [chain for chain in trained if chain not in main][:OTHERS_SHOWN]
    return [chain for chain in trained if chain in main or chain in set(others)]


def _curves(evidence: StudyEvidence) -> Iterator[Picture]:
    stages: Mapping[str, tuple[Fit, ...]] = evidence.stages
    chains = choose_stages(evidence)
    for chain in chains:
        fits = stages[chain]
        best = [fit.facts.get("best_epoch") for fit in fits]
        figure = draw_training_curves([fit.history for fit in fits], best)
        lines = "One line per fold and repeat; dots" if len(fits) > 1 else "The dot"
        mark = "mark the epochs" if len(fits) > 1 else "marks the epoch"
        caption = f"{lines} {mark} whose weights were kept, chosen by the validation part alone."
        yield encode_picture(figure, f"curves_{chain}", caption, evidence.generated, narrow=True)
