"""What the names of folders say: classes, their parts, specimens."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batteryscope.readers.scan import natural_key

# Words that folders of batteries use, most of them in this order.
# Three digits are a composition if the material is named, or if it is one that is sold.
COMPOSITION = (
    r"(?=(?:ncm|nmc|nca)[0-9]|(?:111|333|424|433|442|523|532|622|631|712|721|811|955)(?![0-9]))"
    r"(?:ncm|nmc|nca)?(?P<composition>[0-9]{3})"
)
STATE = (
    r"(?P<state>pristine|fresh|new|formation|formed|aged|cycled|worn_out|[0-9]+[ _-]?cycles?|"
    r"cycle_aged|calendar_aged|thermal_cycled)"
)
ADDITIVE = r"(?P<additive>[A-Za-z]+)"
NUMBERED = re.compile(r"^(?:[A-Za-z]+[ _-]?)?[0-9]+$")  # cell_07, e1, 12
SESSION = (
    r"(?P<session_id>(?:day|session|date|run|series)[ _-]?[0-9]+|"
    r"(?:19|20)[0-9]{2}[._-]?[0-9]{2}[._-]?[0-9]{2})"
)
MOST_PARTS = 4


@dataclass(frozen=True)
class NamedClasses:
    """How the names of folders were understood.

    Attributes
    ----------
    columns
        Label columns, which together name the class.
    pattern
        Regular expression over the path of the folder (of a scan: over its whole path); None
        where the whole path is the class.
    parts
        Column → the values that were found, for a person to confirm.
    specimens
        Whether the pattern names specimens.
    """

    columns: tuple[str, ...] = ("class",)
    pattern: str | None = None
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    specimens: bool = False


def understand_names(folders: Sequence[str], whole_paths: bool = False) -> NamedClasses:
    """Take the names of class folders apart.

    Parameters
    ----------
    folders
        POSIX paths of the folders that hold pictures, or of scans, relative to the data set.
    whole_paths
        Whether the last part of a path is the name of a scan, which is no class.

    Returns
    -------
    NamedClasses
        The first way that fits every folder. Names that nobody can take apart are classes as
        they are.
    """
    names = sorted(set(folders) - {"", "."}, key=natural_key)
    if not names:
        return NamedClasses()
    return _take_sessions(names, whole_paths) or _understand(names, whole_paths)


def _take_sessions(names: Sequence[str], whole_paths: bool) -> NamedClasses | None:
    """A folder of every day or session, above or below the classes: never a class itself."""
    before = [re.search(f"^{SESSION}/(.+)$", name, re.IGNORECASE) for name in names]
    after = [re.search(f"^(.+)/{SESSION}$", name, re.IGNORECASE) for name in names]
    below = bool(names) and all(before)
    if not below and (whole_paths or not all(after)):
        return None
    found = [match for match in (before if below else after) if match]
    rest = [match[2 if below else 1] for match in found]
    inner = _understand(sorted(set(rest), key=natural_key), whole_paths)
    pattern = inner.pattern or ("^(?P<class>[^/]+)/" if whole_paths else "^(?P<class>.+)$")
    start = rf"^{SESSION}/" if below else "^"
    end = "" if below else rf"/{SESSION}$"
    pattern = start + pattern.removeprefix("^").removesuffix("$" if end else "") + end
    sessions = sorted({match["session_id"] for match in found}, key=natural_key)
    parts = dict(inner.parts) | {"session_id": sessions}
    return NamedClasses(inner.columns, pattern, parts, inner.specimens)


def _understand(names: Sequence[str], whole_paths: bool) -> NamedClasses:
    end = "/" if whole_paths else "$"
    single = rf"(?P<specimen_id>p(?P<porosity>[0-9]+)_e[0-9]+){'' if whole_paths else '$'}"
    tries: list[tuple[tuple[str, ...], str]] = [(("porosity",), rf"^{single}")]
    parts: list[tuple[tuple[str, ...], str]] = [
        (("composition", "state", "additive"), f"{COMPOSITION}[_ -]{STATE}(?:[_ -]{ADDITIVE})?"),
        (("composition", "state"), f"{COMPOSITION}[_ /-]{STATE}"),
        (("state", "composition"), f"{STATE}[_ /-]{COMPOSITION}"),
        (("state",), STATE),
        (("composition",), COMPOSITION),
    ]
    for columns, known in parts:
        tries.append((columns, f"^{known}{end}"))
        if not whole_paths:  # a folder of each specimen below
            tries.append((columns, f"^(?P<specimen_id>{known}/[^/]+)$"))
    for columns, pattern in tries:
        if found := _try(columns, pattern, names):
            return found
    if whole_paths:  # the first folder is the class, whatever lies below
        return _try(("class",), r"^(?P<class>[^/]+)/", names) or NamedClasses()
    return _take_two_levels(names) or _take_parts(names) or NamedClasses()


def _try(columns: Sequence[str], pattern: str, names: Sequence[str]) -> NamedClasses | None:
    """Return what a pattern finds in all names, if it fits them all."""
    matches = [re.search(pattern, name, re.IGNORECASE) for name in names]
    if not all(matches):
        return None
    found = [match for match in matches if match]
    parts: dict[str, list[str]] = {}
    kept = []
    for column in columns:
        values = {match[column] for match in found}
        if None in values:  # an optional part that some names lack belongs to no class
            values.discard(None)
            if not values:
                continue
            parts[column] = sorted(values, key=natural_key)
            continue
        kept.append(column)
        parts[column] = sorted(values, key=natural_key)
    specimens = "specimen_id" in re.compile(pattern).groupindex
    pattern = _narrow(pattern, parts)
    return NamedClasses(tuple(kept), pattern, parts, specimens)


def _narrow(pattern: str, parts: Mapping[str, Sequence[str]]) -> str:
    """Name what was found instead of all that is known: shorter, and to be checked."""
    if "state" in parts:
        longest_first = sorted(parts["state"], key=lambda name: (-len(name), name))
        found = "|".join(re.escape(name).replace(r"\ ", " ") for name in longest_first)
        pattern = pattern.replace(STATE, f"(?P<state>{found})")
    if "composition" in parts:
        found = "|".join(parts["composition"])
        pattern = pattern.replace(COMPOSITION, f"(?:ncm|nmc|nca)?(?P<composition>{found})")
    return pattern if "additive" in parts else pattern.replace(f"(?:[_ -]{ADDITIVE})?", "")


def _take_two_levels(names: Sequence[str]) -> NamedClasses | None:
    """A folder in a folder: of every specimen of a class, or a second label."""
    if any(name.count("/") != 1 for name in names):
        return None
    above: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        upper, _, lower = name.partition("/")
        above[lower].add(upper)
    shared = any(len(uppers) > 1 for uppers in above.values())
    if shared and not all(NUMBERED.match(lower) for lower in above):
        return _try(("upper", "lower"), r"^(?P<upper>[^/]+)/(?P<lower>[^/]+)$", names)
    return _try(("class",), r"^(?P<specimen_id>(?P<class>[^/]+)/[^/]+)$", names)


def _take_parts(names: Sequence[str]) -> NamedClasses | None:
    """Names of equally many words, each of which is one of few: ``a_25C, a_45C, b_25C``."""
    split = [name.split("_") for name in names]
    n_parts = len(split[0])
    if not 2 <= n_parts <= MOST_PARTS or any(len(words) != n_parts for words in split):
        return None
    counts = [Counter(words) for words in zip(*split, strict=True)]
    if "/" in "".join(names) or not all(len(count) < len(names) for count in counts):
        return None
    columns = tuple(f"part_{i + 1}" for i in range(n_parts))
    pattern = "_".join(f"(?P<{column}>[^_/]+)" for column in columns)
    return _try(columns, f"^{pattern}$", names)
