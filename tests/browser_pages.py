"""Pages of reports in a headless Chromium: which cells are cut at which width, and in print."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

# axe-core, as `make test` fetches it (tests/axe.txt); AXE_CORE names another file.
AXE = ROOT / ".venv/axe/axe_playwright_python/axe.min.js"
# A4 without Chromium's margins of a centimetre, at 96 pixels an inch.
PRINT_WIDTH_PX = 717
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic", "--hide-scrollbars",
)  # fmt: skip
# A cell is cut if its own content, or what holds it, is wider than what is seen of it.
MEASURE = """
<script>
function measure(frame, name) {
  const page = frame.contentDocument;
  page.querySelectorAll('details').forEach(d => d.open = true);
  const cut = [];
  let cells = 0, scrolled = 0;
  page.querySelectorAll('th, td').forEach(cell => {
    const box = cell.getBoundingClientRect();
    if (!box.width) return;
    cells += 1;
    const holder = cell.closest('.scroll').getBoundingClientRect();
    const range = page.createRange();
    range.selectNodeContents(cell);
    const text = range.getBoundingClientRect();
    const over = Math.max(text.right - box.right, box.right - holder.right,
                          cell.scrollWidth - cell.clientWidth);
    const place = cell.closest('section').id + ': ' + cell.textContent.slice(0, 40);
    if (over > 1) cut.push(`${place} (+${Math.round(over)})`);
  });
  const column = [...page.querySelectorAll('tbody td:first-child')].filter(cell => {
    const words = cell.textContent.trim().split(/\\s+/).length;
    const line = parseFloat(getComputedStyle(cell).lineHeight);
    const range = page.createRange();  // the cell itself is as high as the highest of its row
    range.selectNodeContents(cell);
    return words > 3 && range.getBoundingClientRect().height / line > words - 0.5;
  }).map(cell => cell.textContent.slice(0, 40));
  // Of letters the smallest, and figures that are shown smaller than their letters allow.
  const written = [...page.querySelectorAll('body *')].filter(
    e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  const smallest = Math.min(...written.map(e => parseFloat(getComputedStyle(e).fontSize)));
  const shrunk = [...page.querySelectorAll('.wide img[width]')].filter(
    img => getComputedStyle(img).maxWidth !== 'none').length;
  const wide = page.documentElement.scrollWidth - frame.clientWidth;
  return {name, cells, cut, column, smallest, shrunk, wide};
}
window.onload = () => {
  const found = [...document.querySelectorAll('iframe')].map(f => measure(f, f.title));
  document.body.textContent = '';
  const told = document.body.appendChild(document.createElement('pre'));
  told.textContent = JSON.stringify(found);
};
</script>
"""

ASK_AXE = """
<script>
window.onload = async () => {
  const found = {};
  for (const frame of document.querySelectorAll('iframe')) {
    const page = frame.contentDocument;
    page.querySelectorAll('details').forEach(d => d.open = true);
    const told = await frame.contentWindow.axe.run(page, {resultTypes: ['violations']});
    found[frame.title] = told.violations.map(
      rule => `${rule.impact}: ${rule.id}, ${rule.help}: ${rule.nodes[0].html.slice(0, 200)}`);
  }
  document.body.textContent = '';
  document.body.appendChild(document.createElement('pre')).textContent = JSON.stringify(found);
};
</script>
"""


def find_axe() -> Path | None:
    """Return the file of axe-core, or None where there is none."""
    path = Path(os.environ.get("AXE_CORE", AXE))
    return path if path.is_file() else None


def find_chromium() -> str | None:
    """Return the program, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def as_printed(page: str) -> str:
    """Return a page whose rules for paper hold on the screen."""
    return page.replace("@media print", "@media all")


def strip_pictures(page: str) -> str:
    """Return a page with tiny pictures: their bytes take time and no test looks at them."""
    return re.sub(r'src="data:image/(?:png|webp);base64,[^"]*"', 'src="data:,"', page)


def measure_pages(
    pages: Mapping[str, str], widths_px: Sequence[int], folder: Path
) -> list[dict[str, Any]]:
    """Lay pages out at several widths and on paper, all in one start of the browser.

    Returns
    -------
    list of dict
        For every page and width: ``name``, number of ``cells``, texts of those ``cut``, texts of
        first cells that break after every word (``column``), size in pixels of the ``smallest``
        letters, number of figures that may be ``shrunk`` to the width, and by how many pixels the
        page is ``wide`` beyond its window.
    """
    frames = []
    for name, page in pages.items():
        plain = strip_pictures(page)
        shown = [(f"{width} px", width, plain) for width in widths_px]
        for label, width, text in [*shown, ("A4", PRINT_WIDTH_PX, as_printed(plain))]:
            frames.append(
                f'<iframe title="{name}, {label}" style="width:{width}px;height:900px;border:0" '
                f'srcdoc="{html.escape(text)}"></iframe>'
            )
    return list(_ask_browser(frames, MEASURE, folder))


def list_barriers(
    pages: Mapping[str, str], widths_px: Sequence[int], folder: Path
) -> dict[str, list[str]]:
    """Ask axe-core what keeps people from using a page; name the first place of each kind.

    The keys are those of :func:`measure_pages`: ``name, 400 px``.
    """
    axe = find_axe()
    assert axe is not None
    shutil.copy(axe, folder / "axe.js")
    frames = []
    for name, page in pages.items():
        plain = strip_pictures(page).replace("</head>", '<script src="axe.js"></script></head>')
        frames += [
            f'<iframe title="{name}, {width} px" style="width:{width}px;height:900px;border:0" '
            f'srcdoc="{html.escape(plain)}"></iframe>'
            for width in widths_px
        ]
    return dict(_ask_browser(frames, ASK_AXE, folder))


def _ask_browser(frames: Sequence[str], question: str, folder: Path) -> Any:
    """Show pages in frames of one page, whose script leaves its answer as JSON."""
    harness = folder / "harness.html"
    harness.write_text(
        f'<!DOCTYPE html><meta charset="utf-8">{question}<body>{"".join(frames)}</body>',
        encoding="utf-8",
    )
    program = find_chromium()
    assert program is not None
    done = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={folder / 'browser'}", "--timeout=90000",
         "--virtual-time-budget=90000", "--dump-dom", harness.as_uri()],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))
