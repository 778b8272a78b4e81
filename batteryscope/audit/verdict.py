"""From scores and counts to one verdict: quiet, warning or alarm, and the signs that led to it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from batteryscope.audit.confounding import TOLD
from batteryscope.audit.cues import CUES, CueName
from batteryscope.audit.perturb import INTACT
from batteryscope.audit.score import Skilled
from batteryscope.audit.sessions import SessionRelation

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["quiet", "warning", "alarm"]
LEVELS: tuple[Level, ...] = ("quiet", "warning", "alarm")

# All thresholds are shares of the way from chance to perfect (skill), so that they mean the same
# for 2 classes and for 12. A skill reaches one if the lower end of its 95 % interval also reaches
# half of it: the answers of one forest to the images of one fold are alike, so that the interval
# alone calls too much noise clear, and half a dozen cues are looked at.
#
# A quarter of the way: more than the accidents of a few dozen frames give. On generated frames
# whose brightness is drawn independently of the class, grey levels stay below.
TELLS_SOMETHING = 0.25
# Half of the way: who knows this alone is closer to the truth than to chance. What is seen in the
# picture may be a property of the material, so that it takes this much to warn.
TELLS_MUCH = 0.5
# Four fifths: with what is no property of the material at all, the label is nearly known.
TELLS_NEARLY_ALL = 0.8
# As good as the network within a tenth of its skill: nothing shows that the network adds anything.
AS_GOOD = 0.9
# A network that keeps two thirds of its skill without shapes, or loses half of it with other grey
# levels, goes by grey levels in the main.
KEEPS = 2 / 3
LOSES = 0.5
# A thumbnail that tells no more than grey levels by this much tells nothing else than they do.
TOLERANCE = 0.1
# Sessions tell a quantity by chance more seldom than this.
CHANCE = 0.01
# An interval of fewer units says nothing: drawn again and again, a single one is always the same.
FEWEST_UNITS = 5


@dataclass(frozen=True)
class Sign:
    """One sign of a shortcut: its kind (which sentence tells it), how grave it is, its numbers."""

    kind: str
    level: Level
    facts: Mapping[str, Any] = field(default_factory=dict)


def name_settings(confounded: "pd.DataFrame", share: str) -> list[str]:
    """Name the settings of the microscope that tell half of what is asked for, or more.

    Parameters
    ----------
    confounded
        Circumstances, with the column ``factor``.
    share
        The column that says how much each tells (0 to 1).
    """
    telling = confounded[confounded[share] >= TELLS_MUCH]["factor"]
    return [TOLD[name] for name in telling if name not in ("session", "day", "data_bar_px")]


def judge_cues(
    cues: Mapping[CueName, Skilled],
    model: Skilled | None,
    telling: Iterable[str] = (),
    trusted: Collection[CueName] = (),
) -> list[Sign]:
    """Judge what can be told without looking at the material.

    Parameters
    ----------
    cues
        Score of each cue alone.
    model
        Score of the main arm's networks on the same images; None if there is none.
    telling
        Words for the settings that tell most of the label, for the sentence on metadata.
    trusted
        Cues that are no sign, of :func:`find_trusted`.
    """
    asked = {name: score for name, score in cues.items() if name not in trusted}
    seen = shows_in_pictures(asked)
    signs = []
    for name, score in asked.items():
        level = _judge_cue(name, score, model, seen)
        if level != "quiet":
            facts = {"cue": name, "phrase": CUES[name].phrase, "score": score.as_dict()}
            facts["telling"] = list(telling) if name == "metadata" else []
            signs.append(Sign("cue", level, facts))
    return signs


def reaches(score: Skilled, threshold: float) -> bool:
    """Whether a skill of enough units reaches a threshold, its interval no doubt half of it."""
    is_clear = score.skill >= threshold and score.skill_low >= threshold / 2
    return score.n >= FEWEST_UNITS and is_clear


def shows_in_pictures(cues: Mapping[CueName, Skilled]) -> bool:
    """Whether anything that does not need shapes tells something of the class."""
    return any(CUES[name].is_seen and reaches(cues[name], TELLS_SOMETHING) for name in cues)


def _judge_cue(name: CueName, score: Skilled, model: Skilled | None, seen: bool) -> Level:
    if CUES[name].is_seen:
        rival = 1.0 if model is None else model.skill
        as_good = score.skill >= AS_GOOD * rival
        if reaches(score, TELLS_MUCH):
            return "alarm" if as_good else "warning"
        return "warning" if as_good and reaches(score, TELLS_SOMETHING) else "quiet"
    if name in ("metadata", "data_bar"):
        if reaches(score, TELLS_NEARLY_ALL):
            return "alarm"
        return "warning" if reaches(score, TELLS_SOMETHING) else "quiet"
    # People often take one class after the other, and number so. That does harm only if the
    # pictures changed meanwhile, which grey levels or thumbnails would show.
    return "warning" if seen and reaches(score, TELLS_MUCH) else "quiet"


def find_trusted(
    cues: Mapping[CueName, Skilled],
    perturbed: Mapping[str, Skilled],
    is_unclear: bool,
    brightness: Skilled | None = None,
) -> list[CueName]:
    """Return what is in the picture and tells a number, but is no sign of a shortcut.

    Grey levels show many quantities by themselves: a porosity is the share of what is dark. Who
    took the picture mostly decides brightness and contrast. So they are no sign where mean and
    spread alone tell less than half of what they tell, or where the network keeps two thirds of
    its skill with random brightness and contrast, and with every tile standardised; but never if
    the network goes by grey levels in the main. A tone curve or noise that follows the quantity
    changes neither mean nor spread where the microscope sets both, and looks like a porosity.
    Thumbnails join grey levels unless they tell more; then shades across the picture tell it,
    which no changed tile takes away.

    Parameters
    ----------
    cues
        Score of each cue alone.
    perturbed
        Of the network on the same tiles, intact and changed.
    is_unclear
        Whether sessions tell the quantity, or cannot be told from it; then nothing is trusted.
    brightness
        Of mean and spread of the grey levels alone.
    """
    usual, intact = cues.get("grey_levels"), perturbed.get(INTACT)
    is_other = usual and brightness and brightness.skill < LOSES * usual.skill
    kept = [perturbed[name].skill for name in ("brightness", "standardised") if name in perturbed]
    is_robust = (
        intact is not None
        and reaches(intact, TELLS_SOMETHING)
        and bool(kept)
        and min(kept) >= KEEPS * intact.skill
    )
    if is_unclear or goes_by_grey_levels(perturbed) or not (is_other or is_robust):
        return []
    limit = 0.0 if usual is None else usual.skill + TOLERANCE
    return [
        name
        for name, score in cues.items()
        if CUES[name].is_seen and (name == "grey_levels" or score.skill <= limit)
    ]


def goes_by_grey_levels(perturbed: Mapping[str, Skilled]) -> bool:
    """Whether changed tiles show that a network goes by grey levels in the main.

    It does if it loses half of its skill where every tile has one mean and spread, if it knows
    nothing any more where both are random, or if it keeps two thirds without shapes. Half a loss
    with random brightness is none of these: such tiles are unlike all that it was trained on, and
    a network that needs brightness loses as much on standardised tiles.

    Parameters
    ----------
    perturbed
        Of the network on the same tiles, intact and changed; what was not asked shows nothing.
    """
    intact = perturbed.get(INTACT)
    if intact is None or not reaches(intact, TELLS_SOMETHING):
        return False
    kept = {name: score.skill / intact.skill for name, score in perturbed.items()}
    return (
        kept.get("standardised", 1.0) <= LOSES
        or kept.get("brightness", 1.0) <= 0
        or kept.get("shuffled", 0.0) >= KEEPS
    )


def judge_sessions(
    relation: SessionRelation,
    cues: Mapping[CueName, Skilled],
    left_out: Mapping[CueName, Skilled],
) -> list[Sign]:
    """Judge whether classes can be told apart from sessions.

    Parameters
    ----------
    relation
        How they hang together.
    cues
        Score of each cue alone, on the study's own division.
    left_out
        The same for those that were asked about sessions that they had not seen.
    """
    signs = []
    facts: dict[str, Any] = {
        "by": relation.by,
        "sessions": relation.n_sessions,
        "classes": relation.n_classes,
        "blocks": relation.n_blocks,
        "bound": list(relation.bound_classes),
    }
    if relation.relation == "one":
        signs.append(Sign("one_session", "alarm", facts))
    elif relation.relation == "partly":
        signs.append(Sign("some_one_session", "warning", facts))
    return [*signs, *judge_left_out(cues, left_out)]


def judge_shared_variance(
    by: str, share: float, p_value: float, n_sessions: int, n_units: int
) -> list[Sign]:
    """Judge how much of the variance of a quantity lies between sessions.

    Parameters
    ----------
    by
        What tells sessions.
    share, p_value
        Of :func:`batteryscope.audit.confounding.share_variance`; not a number where every unit
        has a session of its own.
    n_sessions, n_units
        Counts.
    """
    if not share >= TELLS_MUCH or p_value > CHANCE:
        return []
    facts = {"by": by, "sessions": n_sessions, "units": n_units, "share": share}
    if share >= TELLS_NEARLY_ALL:
        return [Sign("one_session", "alarm", facts)]
    return [Sign("some_one_session", "warning", facts)]


def judge_left_out(
    cues: Mapping[CueName, Skilled], left_out: Mapping[CueName, Skilled]
) -> list[Sign]:
    """Judge whether cues tell less of sessions that they have not seen; see above."""
    signs = []
    for name, other in left_out.items():
        usual = cues.get(name)
        if usual is None or not reaches(usual, TELLS_SOMETHING):
            continue
        if other.skill < LOSES * usual.skill and other.skill_high < usual.skill_low:
            own = {"cue": name, "phrase": CUES[name].phrase}
            told = {**own, "score": usual.as_dict(), "left_out": other.as_dict()}
            signs.append(Sign("session_mark", "warning", told))
    return signs


def judge_perturbed(
    perturbed: Mapping[str, Skilled], cues: Mapping[CueName, Skilled]
) -> list[Sign]:
    """Judge what the network goes by, where grey levels do tell the class.

    A network that was trained on unchanged pictures does worse on any others, so a fall alone is no
    sign of a shortcut: it counts where grey levels or a thumbnail alone tell the class as well.

    Parameters
    ----------
    perturbed
        Score on the same tiles, intact and changed.
    cues
        Score of each cue alone.
    """
    intact = perturbed.get(INTACT)
    if intact is None or not reaches(intact, TELLS_SOMETHING) or not shows_in_pictures(cues):
        return []
    signs = []
    for name, score in perturbed.items():
        facts = {"name": name, "score": score.as_dict(), "intact": intact.as_dict()}
        kept = score.skill / intact.skill
        if name == "shuffled" and kept >= KEEPS:
            signs.append(Sign("no_shapes", "warning", facts))
        if name in ("brightness", "standardised") and kept <= LOSES:
            signs.append(Sign("grey_levels_lost", "warning", facts))
    return signs


def sum_up(signs: Iterable[Sign], cues: Mapping[CueName, Skilled]) -> tuple[Level, list[Sign]]:
    """Return the verdict, and all signs, the gravest first.

    A class that is bound to a session makes any picture-wide cue that tells much of it an alarm:
    there is then no way to tell the material from the sitting.
    """
    found = list(signs)
    is_bound = any(sign.kind in ("one_session", "some_one_session") for sign in found)
    if is_bound:
        found = [
            Sign(sign.kind, "alarm", sign.facts)
            if sign.kind == "cue"
            and CUES[sign.facts["cue"]].is_seen
            and cues[sign.facts["cue"]].skill >= TELLS_MUCH
            else sign
            for sign in found
        ]
    # The gravest first; that classes have sessions of their own explains what follows.
    found.sort(key=lambda sign: (-LEVELS.index(sign.level), not sign.kind.endswith("one_session")))
    level = found[0].level if found else "quiet"
    return level, found
