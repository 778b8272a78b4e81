"""Nothing outside of ``samples/`` and ``answers/`` asks what kind of study it has before it."""

import ast
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import ROOT

# Classes of which there is one for each kind of samples or answers.
KINDS = {
    "StudySettings", "TableStudySettings", "DatasetSettings", "TableDatasetSettings",
    "CapacityTargets", "QuantityTargets", "NoNumbers", "Pictures", "CapacityTarget",
    "QuantityTarget", "CumulativeLink",
    "CtSlicesSettings", "CoatingCropSettings",
    "SemTopViewGenerator", "CtCellGenerator", "CrossSectionGenerator",
    "StudyPlan", "TableSweepPlan", "PictureLayout", "RowLayout", "StageSearch", "TableSearch",
    "StageTrainer", "TableTrainer", "TileRegressor", "Bundle", "NumberBundle", "TableBundle",
    "BundleRecord", "NumberRecord", "TableBundleRecord", "StudyEvidence", "NumberEvidence",
    "TableEvidence", "Classes", "Quantities", "Slices", "Coatings",
}  # fmt: skip
# Settings that only some kinds have.
TELLING = {"volumes", "targets"}
# What would say whether numbers are capacities: whether a quantity has an axis is no such question,
# since any may have one (``Quantity.curve``, ``Quantity.relative`` say what follows from it).
HIDDEN = {"has_axis", "is_curve", "by_value", "axis"}
# What says of which kind something is, and what it may say.
NAMING = {"kind", "outputs", "method", "learnt_from", "room", "name"}
WORDS = {
    "image", "table", "class", "grades", "capacity", "capacities", "classes", "quantities",
    "sem", "ct", "coating", "rows", "tiles", "sem_top_view", "ct_cell", "cross_section",
}  # fmt: skip
# What no other place has a use for.
MARKS = {"ct_slices", "coating_crop"}
COLUMNS = {"volume", "slice"}
NOUNS = {"image", "images", "slice", "slices", "picture", "scan", "a picture", "a scan", "row"}
STUDIES = set(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["studies"])
STUDIES.discard("electrode_manufacturing")  # which is the name of a generator as well


def find_branches(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and reason of every place of a module that asks for a kind."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in ("isinstance", "issubclass"):
            if asked := KINDS & {_name(part) for part in ast.walk(node.args[1])}:
                yield node.lineno, f"asks for the class {min(asked)}"
        elif isinstance(node, ast.MatchClass) and _name(node.cls) in KINDS:
            yield node.lineno, f"matches the class {_name(node.cls)}"
        elif isinstance(node, ast.Compare):
            yield from _look_at_comparison(node)
        elif isinstance(node, ast.IfExp) and all(
            _is_text(end) and end.value in NOUNS for end in (node.body, node.orelse)
        ):
            yield node.lineno, "chooses a word"
        for test in _list_conditions(node):
            if isinstance(test, ast.Attribute) and test.attr in TELLING:
                yield test.lineno, f"asks whether there are {test.attr}"
            asked = test.func if isinstance(test, ast.Call) else test
            of_itself = isinstance(asked, ast.Attribute) and _name(asked.value) == "self"
            if _name(asked) in HIDDEN and not of_itself:
                yield test.lineno, f"asks for {_name(asked)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in STUDIES:
            yield node.lineno, f"names the study {node.value}"


def _look_at_comparison(node: ast.Compare) -> Iterator[tuple[int, str]]:
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) and side.value is None for side in sides):
        if asked := TELLING & {_name(side) for side in sides}:
            yield node.lineno, f"asks whether there are {min(asked)}"
        return
    if isinstance(node.ops[0], ast.In) and _is_text(node.left) and node.left.value in COLUMNS:
        yield node.lineno, f"asks for the column {node.left.value}"
    told = {part.value for side in sides for part in ast.walk(side) if _is_text(part)}
    told |= {str(_name(side)).lower() for side in sides if str(_name(side)).isupper()}
    if MARKS & told or (WORDS & told and any(_says_kind(side) for side in sides)):
        yield node.lineno, f"compares with {min((MARKS | WORDS) & told)}"
    if any(_name(part) in KINDS for side in sides for part in [side]):
        yield node.lineno, "compares classes"


def _says_kind(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in NAMING
    if isinstance(node, ast.Name):
        return node.id in NAMING - {"name"}
    if isinstance(node, ast.Subscript):
        return _is_text(node.slice) and node.slice.value in NAMING
    if isinstance(node, ast.Call) and _name(node.func) == "get" and node.args:
        return _is_text(node.args[0]) and node.args[0].value in NAMING
    return False


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _name(node: ast.AST) -> str | None:
    return getattr(node, "attr", None) or getattr(node, "id", None)


def _list_conditions(node: ast.AST) -> list[ast.AST]:
    """What is taken as true or false there."""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return list(node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.comprehension):
        return list(node.ifs)
    if isinstance(node, ast.Call) and _name(node.func) == "bool":
        return list(node.args)
    return []


def search_package() -> dict[str, list[str]]:
    """Every branch of the code outside of the two rooms, by file."""
    found: dict[str, list[str]] = {}
    for place in ("batteryscope", "workflow_scripts"):
        for file in sorted((ROOT / place).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if name.split("/")[1] in ("answers", "samples"):
                continue
            if asked := sorted(find_branches(file.read_text(encoding="utf-8"))):
                found[name] = [f"{name}:{line} {why}" for line, why in asked]
    return found


def test_only_the_two_rooms_ask_what_kind_of_study_it_is() -> None:
    asked = [line for lines in search_package().values() for line in lines]
    assert not asked, "\n".join(["Let samples/ or answers/ say it:", *asked])


def test_rules_ask_no_kind() -> None:
    patterns = {
        r"\bin PLANS\b": "asks whether a study is planned",
        r"isinstance\(": "asks for a class",
        r"(?<!ASKED)\.(volumes|targets)\b": "asks for settings that some kinds have",
        rf"""["'](?:{"|".join(WORDS - {"rows", "tiles", "image", "table"} | MARKS)})["']""": "kind",
        rf"\b(?:{'|'.join(STUDIES)})\b": "names a study",
    }
    asked = []
    for file in [*sorted((ROOT / "rules").glob("*.smk")), ROOT / "Snakefile"]:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("#")[0]
            asked += [
                f"{file.name}:{number} {w}" for p, w in patterns.items() if re.search(p, code)
            ]
    assert not asked, "\n".join(asked)


def test_templates_ask_no_kind() -> None:
    for file in sorted((ROOT / "batteryscope").rglob("*.j2")):
        text = file.read_text(encoding="utf-8")
        assert not [mark for mark in MARKS | STUDIES if mark in text], file.name


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(x, TableStudySettings)",
        "isinstance(x, plan.StudySettings | int)",
        "assert isinstance(layout, RowLayout)",
        "if dataset.volumes is not None: pass",
        "if targets is None: pass",
        "y = a if self.plan.settings.dataset.targets else b",
        "y = stage.targets or []",
        "y = [t for s in studies if not s.targets]",
        "y = bool(settings.targets)",
        'y = record.kind == "table"',
        'y = outputs in ("class", "grades")',
        'y = values.get("kind") != "capacity"',
        'y = values["kind"] in ("capacity", "quantities")',
        "y = record.kind == CAPACITIES",
        'y = layout.samples.learnt_from == "rows"',
        'y = preprocess.method == "ct_slices"',
        'y = study == "cathode_state"',
        "y = type(x) is RowLayout",
        'noun = "slice" if of_scans else "image"',
        'y = "volume" in manifest',
        "match x:\n    case RowLayout():\n        pass",
        "y = a if evidence.has_axis else b",
        "if not record.is_curve: pass",
        "if by_value(targets): pass",
        "y = [t for t in record.targets if isinstance(t, CapacityTarget)]",
        "y = bool(quantity.axis)",
    ],
)
def test_a_branch_is_seen(text: str) -> None:
    assert list(find_branches(text))


@pytest.mark.parametrize(
    "text",
    [
        'y = labels.source == "table"',
        'y = column != "class"',
        "y = dataset.targets",
        "for target in dataset.targets: pass",
        "y = isinstance(x, SemTilesSettings)",
        "y = None if settings.physics is None else 1",
        "points = [q for q in quantities if q.curve]",  # something to draw, whatever it is
        "y = 100 * error if q.relative else error",
    ],
)
def test_other_questions_are_free(text: str) -> None:
    assert not list(find_branches(text))
