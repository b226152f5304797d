"""A headless Chromium for the docs: opens pages, waits for text, clicks, and takes pictures."""

import base64
import io
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from invae.errors import InvaeError

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # it opens only our own server, and the sandbox does not work for root
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

WIDTH = 1200
"""Width of the window and the pictures [px]."""

PATIENCE = 90.0
"""Longest wait for text on a page [s]."""

MIDDLE = """
(() => {
    const elements = [...document.querySelectorAll('body *')].filter(
        element => element.innerText?.trim() === WORDS && element.getClientRects().length);
    if (!elements.length) return null;
    const box = elements.at(-1).getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})()
"""
"""Centre of the innermost element whose text is exactly WORDS [px]."""


def program() -> str | None:
    """Path of the Chromium of this machine, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page of the browser, controlled by the DevTools protocol."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._numbers = count(1)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._line.recv(PATIENCE))
            if answer.get("id") == number:
                return answer["result"]

    def _evaluate(self, expression: str) -> Any:
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def open(self, address: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=address)

    def wait_for(self, *words: str) -> None:
        """Wait until the page shows all texts.

        Raises:
            InvaeError: if one of them does not appear.
        """
        end = time.monotonic() + PATIENCE
        for text in words:
            while not self._shows(text):
                if time.monotonic() > end:
                    raise InvaeError(f"the page does not show {text!r} after {PATIENCE:.0f} s")
                time.sleep(0.2)

    def text(self) -> str:
        """The text that the page shows."""
        return self._evaluate("document.body.innerText")

    def type(self, words: str) -> None:
        """Type a line into the password field of the page, and press Enter."""
        self._evaluate("document.querySelector('input[type=password]').focus()")
        self._ask("Input.insertText", text=words)
        enter = {"key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, **enter)

    def _shows(self, text: str) -> bool:
        return self._evaluate(f"document.body.innerText.includes({json.dumps(text)})")

    def click(self, words: str, *, shows: str) -> None:
        """Click on the element with exactly this text, again if it moves, until the page shows another text.

        Raises:
            InvaeError: if the other text does not appear.
        """
        end = time.monotonic() + PATIENCE
        while not self._shows(shows):
            if time.monotonic() > end:
                raise InvaeError(f"a click on {words!r} does not show {shows!r}")
            middle = self._evaluate(MIDDLE.replace("WORDS", json.dumps(words)))
            for kind in ("mousePressed", "mouseReleased") if middle else ():
                place = {"x": middle[0], "y": middle[1], "button": "left", "clickCount": 1}
                self._ask("Input.dispatchMouseEvent", type=kind, **place)
            time.sleep(1.0)

    def picture(self, target: Path, *, height: int, settle: float = 2.0) -> None:
        """Write the content of the window as a PNG with few colours.

        Args:
            target: the file.
            height: height of the window [px].
            settle: time for animations on the page [s].
        """
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        time.sleep(settle)
        content = base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        picture.quantize(128).save(target, optimize=True)


@contextmanager
def page() -> Iterator[Page]:
    """A page of a browser, which is closed at the end.

    Raises:
        InvaeError: if Chromium is missing or does not start.
    """
    chromium = program()
    if chromium is None:
        raise InvaeError(f"none of {', '.join(NAMES)} is installed; pictures need one of them")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        words = [chromium, *FLAGS, f"--user-data-dir={folder}", f"--window-size={WIDTH},900"]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with connect(_address(Path(folder), process), max_size=None) as line:
                yield Page(line)
        finally:
            process.terminate()
            process.wait()


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """Address of a new page of the browser."""
    port_file, end = folder / "DevToolsActivePort", time.monotonic() + PATIENCE
    while not port_file.is_file() or "\n" not in port_file.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise InvaeError("Chromium has not started; try it with --headless by hand")
        time.sleep(0.1)
    port = port_file.read_text().splitlines()[0]
    answer = httpx.put(f"http://127.0.0.1:{port}/json/new?about:blank", timeout=PATIENCE)
    return answer.raise_for_status().json()["webSocketDebuggerUrl"]
