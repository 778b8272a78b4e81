"""Which columns of a table beside files are labels, and whether the folders say the same."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from batteryscope.errors import InputError
from batteryscope.manifest.schema import ACQUISITION_COLUMNS, COMPUTED_COLUMNS, ORIGIN_COLUMNS
from batteryscope.readers.table_lines import is_empty
from batteryscope.start.class_names import NamedClasses
from batteryscope.start.columns import Column

NAMED_SHARE = 0.5  # of the rows name a file, a scan or a folder
MOST_CLASSES = 0.5  # classes per row; a column with more values describes single samples
MOST_CODES = 8  # values of a column of whole numbers that may be names
OWN_COLUMNS = {*COMPUTED_COLUMNS, *ORIGIN_COLUMNS, *ACQUISITION_COLUMNS} - {"class"}
LABEL_TITLES = {
    "class", "label", "state", "condition", "composition", "chemistry", "material", "category",
    "grade", "type", "kind", "quality", "group", "treatment",
}  # fmt: skip
COMPOSITIONS = {111, 333, 424, 433, 442, 523, 532, 622, 631, 712, 721, 811, 955}


@dataclass(frozen=True)
class SampleColumn:
    """The column that names samples.

    ``folders``: it names the folders of the files; ``whole``: by their path, not its last part.
    """

    title: str
    folders: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Titles:
    """Titles that may be labels.

    ``words``: few different texts; ``codes``: few whole numbers, such as cycles; ``numbers``.
    """

    words: list[str]
    codes: list[str]
    numbers: list[str]

    def choose(self, columns: Mapping[str, Column], path: Path) -> list[str]:
        """Return the labels: words and what is certainly a name; else the only column of codes.

        Raises
        ------
        InputError
            It cannot be told whether the numbers are names or shall be predicted.
        """
        chosen = {*self.words, *(code for code in self.codes if _is_name(columns[code]))}
        if not chosen and self.codes:
            if len(self.codes) + len(self.numbers) > 1:
                raise InputError(
                    f"{path}: the numbers of '{self.codes[0]}' may be classes or be predicted; add "
                    f"--targets {self.codes[0]} (or the others), or write classes as words."
                )
            chosen = {self.codes[0]}
        return [title for title in columns if title in chosen]


def sort_titles(columns: Mapping[str, Column], sample: str) -> Titles:
    """Sort the columns that describe samples."""
    found = Titles([], [], [])
    for title, column in columns.items():
        if title == sample or title in OWN_COLUMNS:
            continue
        if column.numbers is None:
            if 1 < len(set(column.texts)) <= MOST_CLASSES * len(column.texts):
                found.words.append(title)
        elif is_coded(column.numbers):
            found.codes.append(title)
        else:
            found.numbers.append(title)
    return found


def is_coded(numbers: np.ndarray) -> bool:
    """Whether numbers are whole and few, each of them repeated."""
    known = numbers[np.isfinite(numbers)]
    counts = Counter(known.tolist())
    few = 2 <= len(counts) <= min(MOST_CODES, MOST_CLASSES * len(known))
    return few and min(counts.values()) > 1 and bool(np.all(known == np.round(known)))


def _is_name(column: Column) -> bool:
    assert column.numbers is not None
    known = set(column.numbers[np.isfinite(column.numbers)].tolist())
    return column.title.casefold() in LABEL_TITLES or known <= COMPOSITIONS


def find_sample_column(columns: Mapping[str, Column], paths: Sequence[str]) -> SampleColumn | None:
    """Return the column whose cells name most files or scans; else most folders, each once."""
    files = [PurePosixPath(path) for path in paths]
    known = {str(p) for p in files} | {p.name for p in files} | {p.stem for p in files}
    if title := _find_best(columns, known):
        return SampleColumn(title)
    single = {
        title: column
        for title, column in columns.items()
        if len(set(column.texts)) == len(column.texts)
    }
    folders = {p.parent for p in files} - {PurePosixPath(".")}
    if title := _find_best(single, {p.name for p in folders}):
        return SampleColumn(title, folders=True)
    if title := _find_best(single, {str(p) for p in folders}):
        return SampleColumn(title, folders=True, whole=True)
    return None


def _find_best(columns: Mapping[str, Column], known: set[str]) -> str | None:
    shares = {
        title: sum(text in known for text in column.texts) / max(1, len(column.texts))
        for title, column in columns.items()
    }
    best = max(shares, key=lambda title: shares[title], default=None)
    return best if best is not None and shares[best] >= NAMED_SHARE else None


def take_table(
    path: Path,
    columns: Mapping[str, Column],
    sample: SampleColumn,
    labels: Sequence[str],
    paths: Sequence[str],
    names: NamedClasses,
    whole_paths: bool,
) -> bool:
    """Whether labels come from the table: it says more than the folders, or they say nothing.

    Raises
    ------
    InputError
        Folders and table disagree, so that a person has to decide.
    """
    folders = {PurePosixPath(each).parent for each in paths}
    if not sample.folders and (len(folders) == 1 or _names_specimens(columns)):
        return True
    listed = ", ".join(f"'{title}'" for title in labels)
    of_row = _pair_rows(columns, sample, labels, paths)
    by_folder = {each: _read_name(each, names, whole_paths) for each in of_row}
    pairs = {(by_folder[each], of_row[each]) for each in of_row}
    if len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs}):
        return False  # both say the same
    known_words = {"composition", "state", "additive", "porosity"} >= set(names.columns)
    asked = LABEL_TITLES | set(names.columns)
    if known_words and not asked & {title.casefold() for title in labels}:
        return False
    hide = f"rename the table to .{path.name} if the folders are the classes"
    if sample.folders:
        raise InputError(
            f"{path}: its rows say {listed} of folders, but labels are read file by file; write a "
            "row for each picture with its path in a column 'file' and its folder in a column "
            f"'specimen_id', or {hide}."
        )
    raise InputError(
        f"{path}: it says {listed} of the files, and the folders say something else; add a column "
        f"'specimen_id' (which electrode or cell) if the table is right, or {hide}."
    )


def _names_specimens(columns: Mapping[str, Column]) -> bool:
    return "specimen_id" in columns and bool(columns["specimen_id"].texts)


def _pair_rows(
    columns: Mapping[str, Column],
    sample: SampleColumn,
    titles: Sequence[str],
    paths: Sequence[str],
) -> dict[str, tuple[str, ...]]:
    """Return what the table says of every file that it names."""
    rows = list(zip(*(columns[title].cells for title in titles), strict=True))
    keys = columns[sample.title].cells
    said = {
        str(key).strip(): tuple(str(cell).strip() for cell in row)
        for key, row in zip(keys, rows, strict=True)
        if not is_empty(key)
    }
    found = {}
    for path in paths:
        p = PurePosixPath(path)
        own = (str(p.parent), p.parent.name) if sample.folders else (path, p.name, p.stem)
        if row := next((said[name] for name in own if name in said), None):
            found[path] = row
    return found


def _read_name(path: str, names: NamedClasses, whole_paths: bool) -> str:
    """Return the class that folders give a file."""
    folder = PurePosixPath(path).parent.as_posix()
    if names.pattern is None:
        return folder
    match = re.search(names.pattern, path if whole_paths else folder, re.IGNORECASE)
    return "_".join(str(match[column]) for column in names.columns) if match else folder


def say_specimens(
    path: Path,
    columns: Mapping[str, Column],
    sample: SampleColumn,
    targets: Sequence[str],
    paths: Sequence[str],
    names: NamedClasses,
    whole_paths: bool,
) -> dict[str, object]:
    """Return labels that name the specimens whose numbers are predicted; none if they are known.

    Pictures of one specimen share its numbers: divided one by one, they would tell the answer.

    Raises
    ------
    InputError
        Rows repeat their numbers, and nothing says which pictures show one specimen.
    """
    if not sample.folders and _names_specimens(columns):
        return {"source": "table", "table": path.name, "file_column": sample.title} | {
            "columns": [_find_any_label(path, columns, sample)]
        }
    if names.specimens:
        return {}
    folders = {each: PurePosixPath(each).parent for each in paths}
    inside = {each for each, folder in folders.items() if folder != PurePosixPath(".")}
    of_row = _pair_rows(columns, sample, targets, paths)
    values: dict[PurePosixPath, set[tuple[str, ...]]] = {}
    for each, row in of_row.items():
        values.setdefault(folders[each], set()).add(row)
    alike = all(len(rows) == 1 for rows in values.values()) and len(values) < len(of_row)
    if len(inside) == len(paths) and len(values) > 1 and (sample.folders or alike):
        return _name_folders(path, sorted({str(folder) for folder in values}), sample, whole_paths)
    repeated = len(set(of_row.values())) <= MOST_CLASSES * len(of_row)
    if repeated and len(of_row) > 1 and not whole_paths:
        raise InputError(
            f"{path}: many files have the same {', '.join(targets)}, as pictures of one electrode "
            "have, and nothing says which belong together; add the columns 'specimen_id' (which "
            "electrode) and 'class' (one word for all will do), or put each electrode's pictures "
            "into a folder."
        )
    return {}


def _name_folders(
    path: Path, folders: Sequence[str], sample: SampleColumn, whole_paths: bool
) -> dict[str, object]:
    """Return a pattern by which every folder is a specimen, and all of them are of one class.

    Numbers need no classes, and a class of one specimen could not be trained and tested. What all
    names begin with is the class.
    """
    last = sample.folders and not sample.whole
    start = "(?:^|/)" if last else "^"
    rest, end = ("[^/]*" if last else ".*"), ("/[^/]+$" if whole_paths else "$")
    words = sorted(f.rpartition("/")[2] if last else f for f in folders)
    both = takewhile(lambda pair: pair[0] == pair[1], zip(words[0], words[-1], strict=False))
    shared = re.sub(r"[0-9]*$", "", "".join(letter for letter, _ in both).rstrip("/"))
    if not shared.strip():
        raise InputError(
            f"{path}: every folder seems to be a specimen ('{folders[0]}'), but their names have "
            "no beginning in common that could name them all; let them begin alike (such as "
            f"cell_{folders[0]}), or add columns 'file', 'specimen_id' and 'class' to the table."
        )
    group = f"(?P<specimen_id>(?P<class>{re.escape(shared)}){rest})"
    return {"pattern": f"{start}{group}{end}", "columns": ["class"]}


def _find_any_label(path: Path, columns: Mapping[str, Column], sample: SampleColumn) -> str:
    """Return a column that may head a table of labels; where numbers are predicted any will do."""
    if "class" in columns:
        return "class"
    for title, column in columns.items():
        few = 0 < len(set(column.texts)) <= max(1, MOST_CLASSES * len(column.texts))
        if title not in OWN_COLUMNS and title != sample.title and column.numbers is None and few:
            return title
    raise InputError(
        f"{path}: it names specimens, and a table of labels needs a column of names beside them; "
        "add a column 'class' (one word for all will do)."
    )
