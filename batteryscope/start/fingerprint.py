"""What was found in a folder, as a table for people."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from batteryscope.core.plural import count_of
from batteryscope.core.safe_text import show_controls
from batteryscope.start.seen import Seen

WIDTH = 118
MOST_LISTED = 6
MOST_CLASSES = 16
RELATIONS = {
    "one": "each class has a session of its own: class and session cannot be told apart",
    "partly": "some classes have a session of their own",
    "nested": "every session holds one class",
    "shared": "some classes have one session only",
    "crossed": "sessions hold several classes",
}


def list_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return topic and finding, line by line; what was not looked at is left out."""
    rows = []
    for topic, key, show in _TOPICS:
        if key in facts and (text := show(facts[key])):
            rows.append((topic, text))
    return rows


def write_table(seen: Seen) -> str:
    """Return the fingerprint as text, with the problems below it."""
    rows = list_rows(seen.facts)
    wide = max(len(topic) for topic, _ in rows)
    lines = [f"Fingerprint of {seen.place}", ""]
    for topic, text in rows:
        for i, line in enumerate(_wrap(text, WIDTH - wide - 4)):
            lines.append(f"  {topic if i == 0 else '':<{wide}}  {line}")
    return show_controls("\n".join(lines)) + "\n"


def _wrap(text: str, width: int) -> list[str]:
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(part, width, break_on_hyphens=False) or [""]
    ]


def _show_counts(
    counts: Mapping[str, int] | None, unit: str = "", missing: str = "not stated"
) -> str:
    """Return ``500 (424), 1000 (9)``; one value alone without its count."""
    if not counts or set(counts) == {""}:
        return ""
    if len(counts) == 1:
        return f"{next(iter(counts))}{unit}"
    named = [f"{name + unit if name else missing} ({n})" for name, n in counts.items()]
    return ", ".join(named[:MOST_LISTED]) + (
        f" and {len(named) - MOST_LISTED} more" if len(named) > MOST_LISTED else ""
    )


def _show_reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} ({n})" for reason, n in counts.items()) or "none"


def _show_classes(counts: Mapping[str, int]) -> str:
    named = [f"{name} ({n})" for name, n in counts.items()]
    more = f" and {len(named) - MOST_CLASSES} more" if len(named) > MOST_CLASSES else ""
    return f"{len(named)}: " + ", ".join(named[:MOST_CLASSES]) + more


def _show_parts(parts: Mapping[str, list[str]]) -> str:
    listed = [f"{column}: {', '.join(values[:12])}" for column, values in parts.items()]
    return "; ".join(listed) + " (please check)" if listed else ""


def _show_sessions(found: Mapping[str, Any]) -> str:
    if not found.get("told_by"):
        return "no times of acquisition and no names of sessions"
    words = [count_of(found["count"], found["told_by"].replace("session_id", "session"))]
    if "first" in found:
        words.append(
            f"{found['first']} to {found['last']}, longest break {found['longest_gap_hours']:g} h"
        )
    words.append(RELATIONS.get(found["and_classes"], ""))
    return "; ".join(filter(None, words))


def _show_levels(found: Mapping[str, Any]) -> str:
    mean, sd = found["mean"], found["sd"]
    text = (
        f"mean {mean['median']:g} ({mean['from']:g} to {mean['to']:g}), "
        f"spread {sd['median']:g} ({sd['from']:g} to {sd['to']:g}) of 255"
    )
    by_class = found.get("mean_by_class", {})
    if len(by_class) > 1:
        low, high = (pick(by_class, key=by_class.__getitem__) for pick in (min, max))
        text += f"; darkest class {low} ({by_class[low]:g}), brightest {high} ({by_class[high]:g})"
    return text


def _show_bars(found: Mapping[str, int]) -> str:
    heights = {h: n for h, n in found.items() if h != "0"}
    without = found.get("0", 0)
    if not heights:
        return "none found"
    return _show_counts(heights, " rows") + (f"; none in {without}" if without else "")


def _show_particles(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "could not be measured"
    low, high = found["quartiles"]
    return f"about {found['median']:g} px ({low:g} to {high:g}) across, by the autocorrelation"


def _show_list(lines: list[str]) -> str:
    more = [f"and {len(lines) - MOST_LISTED} more"] if len(lines) > MOST_LISTED else []
    return "\n".join([*lines[:MOST_LISTED], *more]) if lines else "none"


def _show_places(found: Mapping[str, int] | None) -> str:
    if not found:
        return "stage positions are not stated"
    return f"{found['again']} of {found['stated']} stage positions were there before"


def _show_tables(found: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(titles[:8])}" for name, titles in found.items())


def _show_coating(found: Mapping[str, Any]) -> str:
    text = f"a foil in {found['with_foil']} of {found['pictures']} pictures that were looked at"
    if not found["with_foil"]:
        return text
    low, high = found["thickness_px"]
    return f"{text}; {low} to {high} px thick"


_TOPICS: list[tuple[str, str, Callable[[Any], str]]] = [
    ("files", "files", str),
    ("usable", "usable", str),
    ("not used", "rejected", _show_reasons),
    ("formats", "formats", lambda v: _show_counts(v) if len(v) > 1 else next(iter(v), "")),
    ("size", "sizes_px", lambda v: _show_counts(v, " px")),
    ("bit depth", "bit_depths", lambda v: _show_counts(v, " bit")),
    ("pixel size", "pixel_sizes_um", lambda v: _show_counts(v, " µm") or "not stated"),
    ("magnification", "magnifications", lambda v: _show_counts(v, "×") or "not stated"),
    ("voltage", "voltages_kv", lambda v: _show_counts(v, " kV")),
    ("instrument", "instruments", _show_counts),
    ("classes", "classes", _show_classes),
    ("materials", "materials", _show_classes),
    ("parts of the names", "parts_of_names", _show_parts),
    ("specimens", "specimens", lambda v: str(v) if v else "not named"),
    ("slices of a scan", "slices", str),
    ("sessions", "sessions", _show_sessions),
    ("rows", "rows", str),
    ("columns", "columns", lambda v: "\n".join(v)),
    ("data bar", "data_bars_px", _show_bars),
    ("grey levels", "grey_levels", _show_levels),
    ("particles", "particle_px", _show_particles),
    ("coating", "coating", _show_coating),
    ("same pixels", "duplicates", _show_list),
    ("nearly the same place", "near_duplicates", lambda v: f"{count_of(v, 'pair')} of pictures"),
    ("overlapping places", "overlaps", lambda v: f"{count_of(v, 'pair')} of pictures"),
    ("places", "places_twice", _show_places),
    ("tables", "tables", _show_tables),
    ("damaged", "damaged", _show_list),
]
