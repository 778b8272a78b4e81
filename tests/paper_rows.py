"""What a row of docs/papers/*.yaml says is what params.yaml and the library have."""

import importlib.util
import re
import sys
from types import ModuleType
from typing import Any

from tests.conftest import ROOT


def load_drawing() -> ModuleType:
    """Import docs/draw_papers.py, which reads the rows."""
    name = "draw_papers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def list_rows(paper: str) -> list[Any]:
    """List the rows of a paper, as parameters of a test."""
    return load_drawing().read_paper(paper).rows


def check_row(row: Any) -> None:
    """Compare a row with settings, reference values and code, and ask for what its status needs."""
    drawing = load_drawing()
    assert row.status in drawing.STATUSES
    if row.status == "faithful":
        assert row.paper, "a faithful row says what the paper states"
        assert row.settings or row.published or row.code, "nothing shows that it is faithful"
    else:
        assert row.why, f"a row that is {row.status} gives a reason"
    assert (row.paper == "") == (row.status == "chosen"), "chosen: what the paper does not state"
    for key, expected in row.settings.items():
        assert drawing.find_setting(row, key) == expected, key
    known = drawing.list_published(row)
    for value in row.published:
        assert any(value.items() <= one.items() for one in known), f"{value} stands beside nothing"
    for name in row.code:
        assert _exists(name), f"there is no {name}"


def _exists(name: str) -> bool:
    """Whether a test ``file.py::test`` or a name of a module is there; nothing is imported."""
    path, _, test = name.partition("::")
    if test:
        return _defines((ROOT / "tests" / path).read_text(encoding="utf-8"), test)
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:size]).with_suffix(".py")
        if module.is_file():
            return all(_defines(module.read_text(encoding="utf-8"), part) for part in parts[size:])
    return (ROOT / name).is_file()


def _defines(text: str, name: str) -> bool:
    return re.search(rf"^\s*(def|class) {name}\b|^{name}\b.* = ", text, re.MULTILINE) is not None
