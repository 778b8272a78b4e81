"""How classes and sessions at the instrument hang together."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# With fewer samples per class one block of time each can be chance.
FEWEST_PER_CLASS = 3
MOST_TURNS = 5

Relation = Literal["one", "partly", "nested", "shared", "crossed", "unknown"]


@dataclass(frozen=True)
class SessionRelation:
    """What is known about classes and sessions.

    Attributes
    ----------
    relation
        ``one``: every class has one session (or one block of time) of its own, so what belongs to
        the class and what to the session cannot be told apart. ``partly``: so it is for some
        classes. ``nested``: every session holds one class, and every class has several.
        ``shared``: some class has one session only, which other classes share. ``crossed``:
        sessions hold several classes, and all classes have several sessions. ``unknown``.
    by
        What tells sessions: ``session_id``, else ``day`` of the acquisition; empty if unknown.
    n_sessions, n_classes
        Counts among samples whose session is known.
    n_blocks
        Runs of one class in the order of time; None without times.
    bound_classes
        Classes with one session, or block of time, of their own.
    can_leave_out
        Whether every class stays when any one session is left out.
    """

    relation: Relation
    by: str = ""
    n_sessions: int = 0
    n_classes: int = 0
    n_blocks: int | None = None
    bound_classes: tuple[str, ...] = ()
    can_leave_out: bool = False


def find_sessions(manifest: pd.DataFrame) -> tuple[str, "pd.Series[str]"]:
    """Return by what sessions are told, and the session of every sample that has one.

    Parameters
    ----------
    manifest
        Sample table. Without any ``session_id``, the day of ``acquired_at`` is the session.

    Returns
    -------
    by, sessions
        ``session_id``, ``day`` or an empty text; sessions by ``sample_id``, unknown ones left out.
    """
    table = manifest.set_index("sample_id")
    named = table["session_id"].dropna().astype(str)
    if len(named) >= len(table) / 2:
        return "session_id", named
    days = table["acquired_at"].dropna()
    if len(days) and len(days) >= len(table) / 2:
        return "day", days.dt.strftime("%Y-%m-%d")
    return "", named[:0]


def count_blocks(manifest: pd.DataFrame) -> dict[str, int] | None:
    """Count, for every class, the runs of consecutive frames in the order of time.

    Returns
    -------
    dict or None
        Class → number of runs. None where most times are unknown or shared with other frames, so
        that there is no order.
    """
    timed = manifest.dropna(subset="acquired_at").sort_values(["acquired_at", "path"])
    if len(timed) < len(manifest) / 2 or timed["acquired_at"].nunique() < len(timed) / 2:
        return None
    classes = timed["class"].to_numpy()
    starts = np.concatenate([[True], classes[1:] != classes[:-1]])
    names, counts = np.unique(classes[starts].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def relate_sessions(manifest: pd.DataFrame) -> SessionRelation:
    """Find how classes and sessions hang together.

    Parameters
    ----------
    manifest
        ``sample_id, path, class, session_id, acquired_at``.
    """
    by, sessions = find_sessions(manifest)
    if not by:
        return SessionRelation("unknown", n_classes=manifest["class"].nunique())
    known = manifest[manifest["sample_id"].isin(sessions.index)]
    classes = known["class"].astype(str).to_numpy()
    labels = sessions.loc[known["sample_id"]].to_numpy()
    table = pd.crosstab(labels, classes).to_numpy() > 0
    names = np.unique(classes)
    of_class, of_session = table.sum(axis=0), table.sum(axis=1)
    alone = table[of_session == 1].sum(axis=0)  # sessions that hold this class only
    is_bound = (of_class == 1) & (alone == 1)
    n_classes = len(names)
    enough = len(known) >= FEWEST_PER_CLASS * n_classes
    blocks = count_blocks(known) if by == "day" else None
    if blocks is not None and enough:
        # A day may see several classes, one after the other: then the block of time is the session.
        is_bound |= np.array([blocks[name] == 1 for name in names])
    can_leave_out = bool((of_class > 1).all())
    if n_classes > 1 and enough and is_bound.all():
        relation: Relation = "one"
    elif n_classes > 1 and enough and is_bound.any():
        relation = "partly"
    elif not can_leave_out:
        relation = "shared"
    else:
        relation = "nested" if (of_session == 1).all() else "crossed"
    return SessionRelation(
        relation=relation,
        by=by,
        n_sessions=len(table),
        n_classes=n_classes,
        n_blocks=None if blocks is None else sum(blocks.values()),
        bound_classes=tuple(names[is_bound].tolist()),
        can_leave_out=can_leave_out,
    )


def leave_sessions_out(
    sessions: "pd.Series[str]", classes: "pd.Series[str]"
) -> list[tuple[NDArray[np.object_], NDArray[np.object_]]]:
    """Divide samples so that no session stands in training and test.

    With more than :data:`MOST_TURNS` sessions, several are left out together; those of a class are
    spread over the turns as evenly as can be.

    Parameters
    ----------
    sessions
        Session by ``sample_id``.
    classes
        Class by ``sample_id``.

    Returns
    -------
    list of (train, test)
        Sample ids; every sample is tested once, by a training part that knows all classes. Empty
        if there is no such division.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    samples = sessions.index.to_numpy(dtype=object)
    own = classes.loc[samples].to_numpy(dtype=str)
    names, counts = np.unique(own, return_counts=True)
    turns = min(MOST_TURNS, sessions.nunique(), int(counts.max(initial=0)))
    if turns < 2:
        return []
    divider = StratifiedGroupKFold(turns)
    with warnings.catch_warnings():
        # A class with fewer samples than turns is tested in some of them only.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(divider.split(samples, own, groups=sessions.to_numpy()))
    if any(len(np.unique(own[train])) < len(names) for train, _ in parts):
        return []
    return [(samples[train], samples[test]) for train, test in parts if len(test)]


def take_turns(
    sessions: "pd.Series[str]",
) -> list[tuple[NDArray[np.object_], NDArray[np.object_]]]:
    """Divide samples so that no session stands in training and test, whatever they show.

    Parameters
    ----------
    sessions
        Session by ``sample_id``; at least two.

    Returns
    -------
    list of (train, test)
        Sample ids; every sample is tested once.
    """
    from sklearn.model_selection import GroupKFold

    samples = sessions.index.to_numpy(dtype=object)
    divider = GroupKFold(min(MOST_TURNS, sessions.nunique()))
    parts = divider.split(samples, groups=sessions.to_numpy())
    return [(samples[train], samples[test]) for train, test in parts]
