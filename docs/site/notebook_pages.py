"""Pages of the site for the notebooks in docs/notebooks: their texts and their code."""

import json
from pathlib import Path


def write_notebook_page(path: Path) -> str:
    """Return a notebook as a page, with a link that saves the notebook itself."""
    told = json.loads(path.read_text(encoding="utf-8"))
    cells = [("".join(c["source"]), c["cell_type"] == "code") for c in told["cells"]]
    title, *parts = [f"```python\n{text}\n```" if is_code else text for text, is_code in cells]
    save = f'<a href="{path.name}" download>Save this notebook</a> ({path.name}).'
    head, _, rest = title.partition("\n")
    return "\n\n".join([head, save, rest, *parts]) + "\n"
