"""Whether simple models beat the networks and whether transfer pays, in plain sentences."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.evaluation.baseline_catalogue import OF_ROWS, find_words
from batteryscope.tables.ablations import find_break_even
from batteryscope.tables.labels import name_column, name_domain
from batteryscope.tables.scores import select_mape
from batteryscope.tables.table_predictions import SOURCE_ARM

FAILS_TIMES = 2.0
NAMES_IN_SENTENCES = {
    "source": "the source network",
    "pretrained": "the source network as it is",
    "adapter": "the adapter network",
    "scratch": "the network trained from scratch",
    "fine_tuning": "the fine-tuned network",
}

Finding = dict[str, str]


def judge_baselines(pairs: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Say where the best simple model beats the network, and by how much.

    A warning if its mean MAPE is not higher ("beats" if the 95 % interval of the difference
    leaves zero out), good if the interval lies on the side of the network. The best baseline
    is chosen by the same test rows, which favours it a little.
    """
    for pair in pairs[pairs["role_of_second"] == "best_baseline"].to_dict("records"):
        place = name_place(pair["target"], pair["domain"], settings)
        ours, other = name_in_sentence(pair["first"]), name_in_sentence(pair["second"])
        numbers = f"{pair['second_mean']:.3g} % against {pair['first_mean']:.3g} % MAPE"
        by = f"{_show(abs(pair['mean']))} percentage points"
        if pair["mean"] >= 0:
            verb = "beats" if pair["low"] > 0 else "is at least as good as"
            yield tell(
                "baseline",
                "warning",
                f"A simple baseline {verb} the network for {place}: {other} reaches {numbers} of "
                f"{ours}, a difference of {by} ({_show_interval(pair)}). The published model "
                "holds the networks; proposals use the model that errs less.",
            )
        elif pair["high"] < 0:
            yield tell(
                "baseline",
                "good",
                f"For {place}, {ours} beats every baseline; the best one, {other}, has {numbers}, "
                f"a difference of {by} ({_show_interval(pair)}).",
            )
        else:
            yield tell(
                "baseline",
                "info",
                f"For {place}, {ours} has a lower error than the best baseline, {other} "
                f"({numbers}), but the difference of {by} is not certain "
                f"({_show_interval(pair)}).",
            )


def judge_transfer(pairs: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Say whether the main arm is better than what the target rows alone give.

    Rivals are the network from scratch and the best baseline. Transfer does not pay where
    one of them has a mean MAPE that is not higher.
    """
    alone = (pairs["second"] == "scratch") | (pairs["role_of_second"] == "best_baseline")
    ours = pairs[alone & (pairs["first"] == settings.main_arm) & (pairs["first"] != "scratch")]
    for (target, domain), rivals in ours.groupby(["target", "domain"], sort=False):
        place, arm = name_place(target, domain, settings), name_in_sentence(settings.main_arm)
        mean = float(rivals["first_mean"].iloc[0])
        better = rivals[rivals["mean"] >= 0]
        if len(better):
            told = " and ".join(
                f"{name_in_sentence(r['second'])} {r['second_mean']:.3g} % ({_show_interval(r)})"
                for r in better.to_dict("records")
            )
            certain = bool((better["low"] > 0).any())
            pays = "does not pay" if certain else "is not shown to pay"
            yield tell(
                "transfer",
                "warning",
                f"Transfer {pays} for {place}: {arm} has {mean:.3g} % MAPE; the target rows "
                f"alone give {told}.",
            )
        elif (rivals["high"] < 0).all():
            told = " and ".join(
                f"{name_in_sentence(r['second'])} ({r['second_mean']:.3g} %)"
                for r in rivals.to_dict("records")
            )
            yield tell(
                "transfer",
                "good",
                f"Transfer pays for {place}: {arm} has {mean:.3g} % MAPE, clearly below {told}.",
            )
        else:
            yield tell(
                "transfer",
                "info",
                f"Transfer seems to pay for {place}, but not certainly: {arm} has {mean:.3g} % "
                "MAPE, below all that was trained on the target rows alone, and at least one of "
                "the differences may be chance.",
            )


def judge_pretrained(scores: pd.DataFrame, settings: TableStudySettings) -> Iterator[Finding]:
    """Say where the pretrained network fails without adaptation, or needs none.

    It fails where its mean MAPE is above that of the mean of the target's training rows
    or, without that baseline, above twice that of the main arm.
    """
    mape = select_mape(scores)
    means = mape.groupby(["target", "domain", "arm"])["score"].mean()
    for (target, domain), here in mape.groupby(["target", "domain"], sort=False):
        of = here.groupby("arm")["score"].mean()
        if "pretrained" not in of or domain == settings.dataset.source:
            continue
        as_is, place = of["pretrained"], name_place(target, domain, settings)
        at_home = means.get((target, settings.dataset.source, SOURCE_ARM))
        home = f" ({at_home:.3g} % in its own domain)" if at_home is not None else ""
        guess, adapted = of.get("baseline_mean"), of.get(settings.main_arm)
        if guess is not None and as_is > guess:
            yield tell(
                "pretrained",
                "warning",
                f"The source network as it is fails for {place}: {as_is:.3g} % MAPE{home}, worse "
                f"than always answering the mean of the training rows ({guess:.3g} %).",
            )
        elif guess is None and adapted is not None and as_is > FAILS_TIMES * adapted:
            yield tell(
                "pretrained",
                "warning",
                f"The source network as it is fails for {place}: {as_is:.3g} % MAPE{home}, more "
                f"than twice the {adapted:.3g} % of {name_in_sentence(settings.main_arm)}.",
            )
        elif adapted is not None and settings.main_arm != "pretrained" and as_is <= adapted:
            yield tell(
                "pretrained",
                "info",
                f"The source network needs no adaptation for {place}: as it is, it has "
                f"{as_is:.3g} % MAPE, {name_in_sentence(settings.main_arm)} {adapted:.3g} %.",
            )


def describe_break_even(
    pairs: pd.DataFrame, ablations: pd.DataFrame, settings: TableStudySettings
) -> Iterator[Finding]:
    """Say from how many target rows on scratch and the best baseline replace transfer."""
    arm = settings.main_arm
    alone = (pairs["second"] == "scratch") | (pairs["role_of_second"] == "best_baseline")
    for pair in pairs[alone & (pairs["first"] == arm)].to_dict("records"):
        target, domain, rival = pair["target"], pair["domain"], pair["second"]
        rows, measured = find_break_even(ablations, arm, rival, target, domain)
        if len(measured) < 2:
            continue
        place = name_place(target, domain, settings)
        ours, other = name_in_sentence(arm), name_in_sentence(rival)
        sizes = ", ".join(f"{n:.0f}" for n in measured)
        answer = (
            f"from {rows:.0f} target rows on, {other} is at least as good as {ours} "
            f"(measured at {sizes} rows)"
            if rows is not None
            else f"with {measured[-1]:.0f} target rows {other} is still worse than {ours}, so the "
            f"break-even is not within the rows measured ({sizes})"
        )
        yield tell("break_even", "info", f"Break-even for {place}: {answer}.")


def name_in_sentence(arm: str) -> str:
    """Name an arm or a baseline with its article."""
    return NAMES_IN_SENTENCES.get(arm) or find_words(arm, OF_ROWS).in_sentence


def name_place(target: object, domain: object, settings: TableStudySettings) -> str:
    """Name a target of a domain in words."""
    column = settings.dataset.targets.get(str(target))
    return f"{name_column(str(target), column)} of {name_domain(str(domain))}"


def tell(kind: str, severity: str, text: str) -> Finding:
    """Make one finding."""
    return {"kind": kind, "severity": severity, "text": text}


def _show_interval(pair: dict[Any, Any]) -> str:
    repeats = f"{int(pair['n'])} repeat" + ("s" if pair["n"] != 1 else "")
    if not np.isfinite(pair["low"]):
        return f"{repeats}, so no interval is known"
    low, high = float(pair["low"]), float(pair["high"])
    if low * high > 0:
        near, far = sorted((abs(low), abs(high)))
        return f"95 % interval {_show(near)} to {_show(far)} over {repeats}"
    return f"95 % interval {_show(low)} to {_show(high)} over {repeats}, which includes zero"


def _show(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"
