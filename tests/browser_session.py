"""A page in a headless Chromium that is asked and told things, through two pipes (DevTools)."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser_pages import FLAGS, find_chromium


class Page:
    """One page; ``addresses`` are those of all its requests."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._left, self._number, self._session = b"", 0, ""
        self.addresses: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Network", "DOM"):
            self.ask(f"{part}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return the result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            told = self._receive()
            if told.get("method") == "Network.requestWillBeSent":
                self.addresses.append(told["params"]["request"]["url"])
            if told.get("id") == self._number:
                assert "error" not in told, told
                return dict(told["result"])

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"]
        return result.get("value")

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """Return an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.2)
        raise TimeoutError(f"{script}: {self.run('document.body.innerText')}")

    def give_files(self, selector: str, *files: Path) -> None:
        """Put files into an input."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._from, 1 << 20)
            assert part, "the browser ended"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """Start a browser with a profile below a folder; it ends with the block."""
    program = find_chromium()
    assert program is not None
    (read_by_it, to_browser), (from_browser, written_by_it) = os.pipe(), os.pipe()

    def connect() -> None:  # the browser reads from 3 and writes to 4
        os.dup2(read_by_it, 100)
        os.dup2(written_by_it, 101)
        os.dup2(100, 3)
        os.dup2(101, 4)

    browser = subprocess.Popen(
        [program, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder / 'browser'}"],
        preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(read_by_it)
    os.close(written_by_it)
    try:
        yield Page(to_browser, from_browser)
    finally:
        browser.terminate()
        browser.wait()
        os.close(to_browser)
        os.close(from_browser)
