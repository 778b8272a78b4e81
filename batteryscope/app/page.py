"""The page to drop an image on. Gradio is an optional extra: only this module imports it."""

import io
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batteryscope.app.answer import answer_files, list_bundles, write_rows
from batteryscope.errors import ConfigError, InputError

HOST = "127.0.0.1"
# Nothing of another address is loaded, whatever the library would like to load.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'"
)
LARGEST_FILE = "2gb"
KEPT_SECONDS = 3600
FONTS = ["system-ui", "sans-serif"]  # names of fonts, not addresses of them


def import_gradio(held: Path) -> Any:
    """Import Gradio, which asks nobody anything and keeps uploads below a folder.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(held / "uploads")  # all three are read at the import
    try:
        import gradio
    except ImportError as error:
        raise ConfigError(
            f"The page needs Gradio ({error.name} is missing); type "
            'pip install "batteryscope[app]", or in a clone make app, which installs it in work/app'
        ) from None
    return gradio


def make_page(gradio: Any, models: Path, held: Path) -> Any:
    """Lay out the page for the published models below a folder.

    Parameters
    ----------
    gradio
        Of :func:`import_gradio`.
    models
        The folder.
    held
        Where tables for the browser are written.

    Raises
    ------
    InputError
        There is no model.
    """
    from PIL import Image

    names = list_bundles(models)
    if not names:
        raise InputError(
            f"{models}: no published model of pictures or scans is there; run a study first, or "
            "name another folder with --models."
        )

    def answer(name: str, files: list[str] | None, anyway: bool) -> tuple[Any, ...]:
        if not files:
            return "Drop a file first.", None, [], None
        shown = answer_files(models / name, [Path(file) for file in files], anyway)
        text = "\n".join(shown.sentences)
        pictures = [(Image.open(io.BytesIO(png)), words) for png, words in shown.pictures]
        table = shown.rows.fillna("").astype(str)
        folder = Path(tempfile.mkdtemp(dir=held))
        return text, table, pictures, str(write_rows(shown.rows, folder))

    # What was uploaded is deleted after an hour, and when the page ends.
    kept = (KEPT_SECONDS, KEPT_SECONDS)
    with gradio.Blocks(title="Batteryscope", analytics_enabled=False, delete_cache=kept) as page:
        gradio.Markdown("# Batteryscope\nDrop pictures or a scan; nothing leaves this machine.")
        bundle = gradio.Dropdown(names, value=names[0], label="model", elem_id="model")
        files = gradio.File(file_count="multiple", label="files", elem_id="files")
        anyway = gradio.Checkbox(False, label="answer also what is unlike all training images")
        told = gradio.Textbox(label="answer", elem_id="told", lines=3)
        words = "crops used, and what speaks for the answer"
        crops = gradio.Gallery(label=words, elem_id="crops", object_fit="contain")
        rows = gradio.Dataframe(label="rows", elem_id="rows", interactive=False)
        table = gradio.DownloadButton("download the rows (CSV)", elem_id="table")
        asked, shown = [bundle, files, anyway], [told, rows, crops, table]
        for event in (files.upload, bundle.change, anyway.change):
            event(answer, asked, shown, api_name=False)
    return page


def is_from_here(headers: Mapping[str, str]) -> bool:
    """Tell whether a request comes from this page, or from no page at all.

    Any page in the browser can send files to this address; it says so with every such request.
    """
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and origin != f"http://{host}":
        return False
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def make_server() -> Any:
    """Return a server, without any page yet, that answers only what is asked from this machine."""
    from fastapi import FastAPI, Request
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import PlainTextResponse

    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @server.middleware("http")
    async def keep_to_this_machine(request: Request, call_next: Any) -> Any:
        if not is_from_here(request.headers):
            return PlainTextResponse("This page answers no other page.", status_code=403)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    # A page of elsewhere must not reach this one by a name that it makes lead here.
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return server


def serve_page(models: Path, port: int) -> None:
    """Serve the page on this machine alone until it is stopped.

    Raises
    ------
    ConfigError, InputError
        As :func:`import_gradio` and :func:`make_page`.
    """
    with tempfile.TemporaryDirectory(prefix="batteryscope_app_") as folder:
        held = Path(folder)
        gradio = import_gradio(held)
        import uvicorn

        page = make_page(gradio, models, held)
        theme = gradio.themes.Base(font=FONTS, font_mono=["monospace"])
        mounted = gradio.mount_gradio_app(
            make_server(), page, "/", max_file_size=LARGEST_FILE, theme=theme, footer_links=[]
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)
        uvicorn.run(mounted, host=HOST, port=port, log_level="warning")
