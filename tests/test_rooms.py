"""Rooms of the library import each other in one direction only."""

import ast
from pathlib import Path

import networkx

PACKAGE = Path(__file__).resolve().parent.parent / "batteryscope"


def list_imports(path: Path) -> set[str]:
    """Rooms that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "batteryscope" and len(part) > 1}


def test_no_rooms_import_each_other() -> None:
    graph = networkx.DiGraph()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        graph.add_edges_from((room, other) for other in list_imports(path) if other != room)
    circles = [sorted(c) for c in networkx.strongly_connected_components(graph) if len(c) > 1]
    assert circles == []


def test_config_holds_data_classes_only() -> None:
    found = {other for path in (PACKAGE / "config").glob("*.py") for other in list_imports(path)}
    assert found == {"config", "core", "errors"}
