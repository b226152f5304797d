"""The program and the style of the interactive view, as text."""

import json
from collections.abc import Mapping
from importlib.resources import files

ROOT_ID, DATA_ID = "explorer", "explorer-data"
PARTS = ("unpack.js", "view.js", "pointer.js", "patches.js", "controls.js", "app.js")
"""Files of the module, in the order in which they are joined."""
START = f"""
await mount(
  document.getElementById("{ROOT_ID}"),
  JSON.parse(document.getElementById("{DATA_ID}").textContent),
);
"""
"""Builds the view from the data of the page."""


def program(end: str = START) -> str:
    """The module as one script.

    Args:
        end: the last lines, which call `mount(root, data, live)`; or exports.
    """
    return "".join(read(name) for name in PARTS) + end


def style() -> str:
    """The style sheet."""
    return read("explorer.css")


def read(name: str) -> str:
    """A file of this folder, with line ends that do not depend on the system."""
    text = files("invae.report.explorer").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def embedded(data: Mapping[str, object]) -> str:
    """Data as JSON that nothing inside can end or leave: ASCII, without `<`, `>` and `&`."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
