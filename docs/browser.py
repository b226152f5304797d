"""A headless Chromium for docs and tests: opens pages, waits, moves the mouse, types, and takes pictures."""

import base64
import io
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
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

TALLEST = 15_000
"""Height of a picture that the browser can make [px]."""

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
        self._events: list[dict[str, Any]] = []
        self.place = (0.0, 0.0)
        """Of the mouse [px of the window]."""

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._line.recv(PATIENCE))
            if answer.get("id") == number:
                if "error" in answer:
                    raise InvaeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._events.append(answer)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited.

        Raises:
            InvaeError: if it throws.
        """
        how = {"returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", expression=expression, **how)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise InvaeError(details.get("exception", details).get("description", "it throws"))
        return answer["result"].get("value")

    def open(self, address: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=address)

    def watch(self) -> None:
        """From now on, remember messages, errors and requests of the page."""
        for domain in ("Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def forget(self) -> None:
        """Forget what the page has said and asked for."""
        self._seen().clear()

    def messages(self) -> list[str]:
        """Messages and errors of the page since `watch`."""
        return [text for event in self._seen() if (text := _message(event))]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since `watch`."""
        sent = (event for event in self._seen() if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def _seen(self) -> list[dict[str, Any]]:
        self.evaluate("0")  # what has happened comes before the answer
        return self._events

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true.

        Raises:
            InvaeError: if it does not become true.
        """
        end = time.monotonic() + PATIENCE
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise InvaeError(f"{expression} is not true after {PATIENCE:.0f} s")
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until the page has been painted twice."""
        self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def size(self, width: int, height: int) -> None:
        """Set the size of the window [px]."""
        window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **window)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in the window, scrolled into view [px]."""
        name = json.dumps(selector)
        return tuple(
            self.evaluate(
                f"""(() => {{ const e = document.querySelector({name});
                e.scrollIntoView({{ block: 'nearest' }});
                const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()"""
            )
        )

    def at(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """A place in an element, in shares of its width and height [px of the window]."""
        x, y, width, height = self.box(selector)
        return x + across * width, y + down * height

    def mouse(self, kind: str, place: tuple[float, float], **more: Any) -> None:
        """One event of the mouse: `mouseMoved`, `mousePressed`, `mouseReleased` or `mouseWheel`."""
        self.place = place
        self._ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)

    def press(self, place: tuple[float, float], *, modifiers: int = 0) -> None:
        """Move to a place, and click there with the left button."""
        self.drag([place], modifiers=modifiers)

    def drag(self, places: Sequence[tuple[float, float]], *, modifiers: int = 0) -> None:
        """Press the left button at the first place, move through the others, and release it."""
        held = {"button": "left", "clickCount": 1, "modifiers": modifiers}
        self.mouse("mouseMoved", places[0])
        self.mouse("mousePressed", places[0], buttons=1, **held)
        for place in places[1:]:
            self.mouse("mouseMoved", place, buttons=1, **held)
        self.mouse("mouseReleased", places[-1], **held)
        self.settle()

    def touch(self, places: Sequence[tuple[float, float]]) -> None:
        """Put a finger down at the first place, move it through the others, and lift it."""
        for number, (x, y) in enumerate(places):
            kind = "touchMove" if number else "touchStart"
            self._ask("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self._ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def files(self, selector: str, paths: Sequence[Path]) -> None:
        """Choose files in a field for files."""
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def key(self, name: str, *, code: int = 0) -> None:
        """Press and release a key, by its name in the DOM: `ArrowRight`, `Escape`, `a`."""
        text = {"text": name} if len(name) == 1 else {}
        pressed = {"key": name, "windowsVirtualKeyCode": code}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **pressed, **text)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **pressed)
        self.settle()

    def pixels(self, selector: str) -> Image.Image:
        """An element as the window shows it."""
        x, y, width, height = self.box(selector)
        left, top = self.evaluate("[scrollX, scrollY]")
        return self._captured(x + left, y + top, width, height)

    def whole(self) -> Image.Image:
        """The whole page, also what lies outside of the window; a very long one is made smaller."""
        root = "document.documentElement"
        width, height = self.evaluate(f"[{root}.scrollWidth, {root}.scrollHeight]")
        scale = min(1.0, TALLEST / height)
        return self._captured(0, 0, width, height, scale=scale, captureBeyondViewport=True)

    def _captured(
        self, x: float, y: float, width: float, height: float, *, scale: float = 1.0, **more: Any
    ) -> Image.Image:
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": scale}
        answer = self._ask("Page.captureScreenshot", format="png", clip=clip, **more)
        return Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")

    def medium(self, name: str) -> None:
        """Lay the page out for a medium: `print`, `screen`, or empty for the usual one."""
        self._ask("Emulation.setEmulatedMedia", media=name)

    def printed(self) -> bytes:
        """The page as a printer gets it, as PDF."""
        return base64.b64decode(self._ask("Page.printToPDF", printBackground=True)["data"])

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
        return self.evaluate("document.body.innerText")

    def type(self, words: str) -> None:
        """Type a line into the password field of the page, and press Enter."""
        self.evaluate("document.querySelector('input[type=password]').focus()")
        self._ask("Input.insertText", text=words)
        enter = {"key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, **enter)

    def _shows(self, text: str) -> bool:
        return self.evaluate(f"Boolean(document.body?.innerText.includes({json.dumps(text)}))")

    def click(self, words: str, *, shows: str) -> None:
        """Click on the element with exactly this text, again if it moves, until the page shows another text.

        Raises:
            InvaeError: if the other text does not appear.
        """
        end = time.monotonic() + PATIENCE
        while not self._shows(shows):
            if time.monotonic() > end:
                raise InvaeError(f"a click on {words!r} does not show {shows!r}")
            middle = self.evaluate(MIDDLE.replace("WORDS", json.dumps(words)))
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
        self.size(WIDTH, height)
        time.sleep(settle)
        content = base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        picture.quantize(128).save(target, optimize=True)


def _message(event: dict[str, Any]) -> str:
    """Text of a message or an error; empty for other events."""
    more = event["params"]
    match event["method"]:
        case "Runtime.consoleAPICalled":
            return " ".join(str(part.get("value", "")) for part in more["args"])
        case "Runtime.exceptionThrown":
            details = more["exceptionDetails"]
            return str(details.get("exception", details).get("description", details["text"]))
        case "Log.entryAdded":
            return str(more["entry"]["text"])
    return ""


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
