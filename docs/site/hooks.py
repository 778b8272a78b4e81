"""What mkdocs does here beside its own work (hooks of mkdocs.yml).

Reference pages are written from the code, links that leave docs/ find copies of their files, and
pages load nothing from elsewhere. It runs as ``python -m mkdocs`` in the root of the repository.
"""

import json
import logging
import posixpath
import re
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs.draw_papers import list_papers, read_paper
from docs.site.command_pages import write_command_page, write_program_page
from docs.site.notebook_pages import write_notebook_page
from docs.site.python_page import write_python_page
from docs.site.settings_pages import SettingsPages

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
# Files beside docs/ that pages link to get a copy below this folder of the site.
COPIES = "repository"
# The page that shows the settings better than the file that is linked.
SCHEMA, SETTINGS = "params.schema.json", "reference/settings.md"
MERMAID = "assets/mermaid.min.js"
MERMAID_FILE = ROOT / "work/site/mermaid/mermaidx/assets/mermaid.js"
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=(?:#[^)\s]*)?(?: \"[^\"]*\")?\))")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):<code>~?([^<]*)</code>")
DRAWING = re.compile(r'(<pre class="mermaid">.*?</pre>)', re.DOTALL)
INLINE_CODE = re.compile("(?<!<pre>)(?<!</span>)<code>([^<]*)</code>")  # of a block: <pre>…
# Longer than a line of a telephone where a heading stands; broken after a joint, which the dot
# before a file's ending is not.
LONG_NAME = re.compile(r"[^\s<>&;]{30,}")
JOINT = re.compile(r"(::|[/=(]|\.(?!\w{1,7}(?:$|::)))(?=\w)")
OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")
PICTURE = re.compile(r'(<img alt="[^"]*" src="(?!data:)([^"]+)" ?/>)')
LONGEST_DESCRIPTION = 160
log = logging.getLogger("mkdocs.hooks")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not there."""
    config.nav = _keep_existing(config.nav)
    return config


def _keep_existing(part: Any) -> Any:
    if isinstance(part, list):
        kept = [_keep_existing(one) for one in part]
        return [one for one in kept if one is not None]
    if isinstance(part, dict):
        kept = {title: _keep_existing(one) for title, one in part.items()}
        kept = {title: one for title, one in kept.items() if one not in (None, [])}
        return kept or None
    source = ROOT / locate(part)
    sources = (source, source.with_suffix(".ipynb"))
    written = part.startswith("reference/")
    if written or any(one.exists() for one in sources):
        return part
    log.warning("mkdocs.yml: nav names %s, which is not there; name it rightly or drop it.", part)
    return None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages that are written now, and copies of files beside docs/ that pages link to."""
    for path, text in write_reference().items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, MERMAID, abs_src_path=str(MERMAID_FILE)))
    to_read = [f for f in files.documentation_pages() if not f.src_uri.startswith("reference/")]
    asked = [locate(place) for place in _list_places(config.nav) if place.startswith(COPIES)]
    while to_read or asked:
        if not asked:
            page = to_read.pop()
            asked = list_links(page.content_string, locate(page.src_uri))
        copies = [_copy(target, files, config) for target in asked]
        to_read += [copy for copy in copies if copy is not None and copy.is_documentation_page()]
        asked = []
    return files


def _list_places(part: Any) -> list[str]:
    """List all pages of a part of the navigation."""
    if isinstance(part, str):
        return [part]
    inner = part.values() if isinstance(part, dict) else part
    return [place for one in inner for place in _list_places(one)]


def _copy(target: str, files: Files, config: MkDocsConfig) -> File | None:
    """Add a file of the repository to the site, unless it is there or does not exist."""
    place = place_in_site(target)
    found = files.get_file_from_path(place)
    if found is not None and found.inclusion.is_excluded():
        found.inclusion = InclusionLevel.NOT_IN_NAV  # a page links to it
    if found is not None or not (ROOT / target).is_file():
        return None
    copy = File.generated(
        config, place, abs_src_path=str(ROOT / target), inclusion=InclusionLevel.NOT_IN_NAV
    )
    files.append(copy)
    return copy


def write_reference() -> dict[str, str]:
    """Return all pages that no person writes, by their path below docs/."""
    schema = json.loads((ROOT / "docs/params.schema.json").read_text(encoding="utf-8"))
    studies = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["studies"]
    papers = [read_paper(name) for name in list_papers()]
    pages = SettingsPages(schema, papers, studies).write()
    pages["reference/command.md"] = write_command_page()
    pages["reference/programs.md"] = write_program_page(ROOT)
    pages["reference/python.md"] = write_python_page()
    for path in sorted((ROOT / DOCS).glob("notebooks/*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = write_notebook_page(path)
    return pages


def locate(page: str) -> str:
    """Return the path in the repository of a page of the site."""
    return page.removeprefix(f"{COPIES}/") if page.startswith(COPIES) else f"{DOCS}/{page}"


def place_in_site(target: str) -> str:
    """Return the path in the site of a file of the repository."""
    inside = target.removeprefix(f"{DOCS}/")
    return inside if inside != target else f"{COPIES}/{target}"


def list_links(text: str, place: str) -> list[str]:
    """List the files of the repository that a page links to, as paths from its root."""
    plain = FENCE.sub("", text)
    return [_resolve(link, place) for link in LINK.findall(plain)]


def _resolve(link: str, place: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), link))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the copies, and describe the page by its first sentences."""
    here, place = page.file.src_uri, locate(page.file.src_uri)
    if not here.startswith("reference/"):
        markdown = LINK.sub(lambda found: _redirect(found[1], here, place, files), markdown)
    page.meta.setdefault("description", describe(markdown))
    if here == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    return markdown


def _redirect(link: str, here: str, place: str, files: Files) -> str:
    target = place_in_site(_resolve(link, place))
    target = SETTINGS if target == SCHEMA else re.sub(r"\.ipynb$", ".md", target)
    if files.get_file_from_path(target) is None:
        return link
    return posixpath.relpath(target, posixpath.dirname(here) or ".")


def describe(markdown: str) -> str:
    """Return the first sentences of a page, for search engines and previews."""
    text = FENCE.sub("", re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL))
    for block in re.split(r"\n\s*\n", text):
        if re.match(r"\s*(#|\||!\[|- |\* |\d+\. |>|:::|    |\{|<)", block) or not block.strip():
            continue
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
        words = re.sub(r"[`*\\]", "", words)
        if len(words) <= LONGEST_DESCRIPTION:
            return words
        return words[:LONGEST_DESCRIPTION].rpartition(" ")[0].rstrip(",;:") + " …"
    return ""


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show names as names, say where code may be broken, let drawings scroll, link pictures."""
    html = DRAWING.sub(r'<div class="drawing">\1</div>', html)
    html = ROLE.sub(r"<code>\1</code>", html)
    html = INLINE_CODE.sub(_break_code, html)
    return PICTURE.sub(r'<a class="picture" href="\2">\1</a>', html)  # to see it in full size


def _break_code(code: re.Match[str]) -> str:
    """Let lines end between the parts of a long name, and not within an option."""
    words = LONG_NAME.sub(lambda name: JOINT.sub(r"\1<wbr>", name[0]), code[1])
    words = OPTION.sub(r'<span class="option">\1</span>', words)
    return f"<code>{words}</code>"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give pages with a drawing the program that draws it, so that none is fetched."""
    if '<pre class="mermaid">' not in output:
        return output
    place = posixpath.relpath(MERMAID, posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("</head>", f'<script src="{place}"></script></head>', 1)
