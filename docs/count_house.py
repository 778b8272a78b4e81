"""Count what a checkout of Batteryscope consists of, for the table in docs/architecture.md.

    python docs/count_house.py [FOLDER]

Code is what is left of modules without docstrings, comments and blank lines.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def count_code(text: str) -> int:
    """Return the lines of a module that are code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def main() -> None:
    """Print one line for the house, and one for every room."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    modules, code, lines = Counter[str](), Counter[str](), 0
    for path in (root / "batteryscope").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        room = path.relative_to(root / "batteryscope").parts[0].removesuffix(".py")
        modules[room] += 1
        code[room] += count_code(text)
        lines += len(text.splitlines())
    programs = list((root / "workflow_scripts").glob("*.py"))
    files = [*root.glob("Snakefile"), *root.glob("workflow/Snakefile"), *root.glob("rules/*.smk")]
    rules = "".join(path.read_text(encoding="utf-8") for path in files)
    print(
        f"{lines} lines of the package, {code.total()} of them code; {modules.total()} modules; "
        f"{len(programs)} programs; {len(re.findall(r'^(?:use )?rule ', rules, re.MULTILINE))} "
        f"rules in {len(rules.splitlines())} lines"
    )
    for room, n in code.most_common():
        print(f"{room}: {n} lines of code in {modules[room]} modules")


if __name__ == "__main__":
    main()
