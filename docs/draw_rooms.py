"""Draw the rooms of the library from its imports, into docs/architecture.md.

    python docs/draw_rooms.py

The picture is Mermaid text, which GitHub and most editors show as a picture. An arrow means
"imports"; arrows that follow from others are left out.
"""

import sys
from pathlib import Path

import grimp
import networkx

PAGE = Path(__file__).resolve().parent / "architecture.md"
START, END = "<!-- drawn by docs/draw_rooms.py -->\n", "<!-- end of the drawing -->\n"
LIBRARY = "batteryscope"
PURPOSES = {
    "samples": "what is looked at",
    "app": "a page to drop an image on",
    "api": "what Python programs of users import",
    "command": "what people type",
    "search": "settings looked for on validation parts",
    "report": "pages, figures, tables for people",
    "tracking": "mirror to MLflow",
    "tables": "rows: networks, transfer, proposals",
    "answers": "what is predicted",
    "bundle": "published models, and asking them",
    "explain": "where networks look",
    "start": "from a folder to a study",
    "familiarity": "what is unlike the training",
    "evaluation": "scores, comparisons, findings",
    "training": "the one training engine",
    "planning": "what a study needs, its checks and paths",
    "preprocess": "pictures and scans to tiles",
    "splits": "divisions and their audit",
    "demo": "generated data",
    "manifest": "the table of samples",
    "models": "networks and their weights",
    "physics": "half-cell model",
    "workflow": "programs, forks, faults",
    "readers": "files to grey levels and metadata",
    "config": "settings",
    "core": "what all use: progress, style, names",
    "plan": "stages and arms by their hashes",
    "augment": "augmentation",
    "audit": "what stands in for the class",
    "balance": "copies and weights of classes",
    "tilestore": "tiles on disk",
    "provenance": "digests of code and data",
    "seeds": "derived seeds",
    "errors": "errors that a user can solve",
}


def read_imports() -> networkx.DiGraph:
    """Return which room imports which, with all rooms as nodes."""
    modules = grimp.build_graph(LIBRARY, cache_dir=None)
    rooms = networkx.DiGraph()
    for room in sorted(modules.find_children(LIBRARY)):
        rooms.add_node(room.rpartition(".")[2])
        for module in {room} | modules.find_descendants(room):
            for imported in modules.find_modules_directly_imported_by(module):
                parts = imported.split(".")
                if len(parts) > 1 and parts[1] != room.rpartition(".")[2]:
                    rooms.add_edge(room.rpartition(".")[2], parts[1])
    return rooms


def draw(rooms: networkx.DiGraph) -> str:
    """Return the picture as Mermaid text.

    Raises
    ------
    KeyError
        A room has no purpose in :data:`PURPOSES`.
    networkx.NetworkXError
        Rooms import each other.
    """
    fewest = networkx.transitive_reduction(rooms)
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {room}["<b>{room}</b><br>{PURPOSES[room]}"]' for room in sorted(rooms)]
    lines += [f"    {upper} --> {lower}" for upper, lower in sorted(fewest.edges)]
    return "\n".join([*lines, "```", ""])


def replace_drawing(page: str, drawing: str) -> str:
    """Return the text of the page with another drawing between the two marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{drawing}{END}{after}"


def main() -> int:
    """Draw into the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replace_drawing(text, draw(read_imports())), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
