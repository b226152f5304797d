"""Progress, tables and pictures in the Prefect UI; none of them loads anything from another network.

No result depends on them: if the server does not answer, the run logs a warning and continues without pictures.
"""

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException
from prefect.logging import get_logger

from invae.errors import visible
from invae.redaction import redacted
from tasks.deadlines import limit_answers
from tasks.progress import Pace

limit_answers()  # every process that sends something to a server imports this module

UNREACHABLE = (httpx.HTTPError, PrefectException, ConnectionError, TimeoutError)
"""Errors of the client while the server is down, restarting or refuses."""

SECONDS_BETWEEN_UPDATES = 2.0
SECONDS_OF_SILENCE = 60.0
"""Pause after a failure, so that time-outs of a lost server do not slow the run down."""

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}

_logger = get_logger("invae")


class _Connection:
    """State of the connection to the server; one per process, because a lost server is lost for all artifacts."""

    silent_until = 0.0
    seconds = 0.0
    """Time spent in calls so far."""


def seconds_spent() -> float:
    """Time that this process has spent in calls to the server [s]."""
    return _Connection.seconds


def _send(call: Callable[[], Any]) -> Any:
    """The answer of an artifact call; None outside of a run, or while the server does not answer."""
    outside = TaskRunContext.get() is None and FlowRunContext.get() is None
    if outside or time.monotonic() < _Connection.silent_until:
        return None
    began = time.monotonic()
    try:
        return call()
    except UNREACHABLE as error:
        _Connection.silent_until = time.monotonic() + SECONDS_OF_SILENCE
        _logger.warning(
            "the Prefect server does not answer (%s); the run continues without it",
            redacted(repr(error)),
        )
        return None
    finally:
        _Connection.seconds += time.monotonic() - began


def key_of(*words: str) -> str:
    """An artifact's key made of words: lower-case letters, digits and dashes."""
    text = "-".join(words).lower()
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text).strip("-")


def one_line_escaped(text: str) -> str:
    """Text of a recording as one line of markdown that shows it literally; secrets are removed.

    The UI also shows tables and descriptions as markdown.
    """
    return escaped(" ".join(redacted(text).split()))


def escaped(text: str) -> str:
    """Markdown that shows a text literally; characters that a database refuses are replaced."""
    text = visible(text)
    text = _MARKDOWN.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
    return text.replace("://", ":\\//")


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    return re.sub(r"\\(.)", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")


_MARKDOWN = re.compile(
    r"[\\`*\[\]|~>]|!(?=\[)|(?<![^\W_])_|_(?![^\W_])|^[#+-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.M
)
"""Characters with a meaning in markdown; an underscore inside a word has none."""


def show_table(key: str, rows: Sequence[Mapping[str, Any]], *, description: str) -> None:
    """Create a table artifact; text in it is shown literally."""
    table = [
        {
            one_line_escaped(str(name)): one_line_escaped(value)
            if isinstance(value, str)
            else value
            for name, value in row.items()
        }
        for row in rows
    ]
    words = one_line_escaped(description)
    _send(lambda: create_table_artifact(key=key, table=table, description=words))


def show_markdown(key: str, text: str, *, description: str) -> None:
    """Create a markdown artifact; text of a recording in it must have passed `one_line_escaped`."""
    words = one_line_escaped(description)
    _send(lambda: create_markdown_artifact(key=key, markdown=text, description=words))


def show_picture(key: str, path: Path, *, description: str) -> None:
    """Create an image artifact that contains a PNG or SVG file."""
    url, words = data_uri(path.read_bytes(), kind=TYPES[path.suffix]), one_line_escaped(description)
    _send(lambda: create_image_artifact(image_url=url, key=key, description=words))


def data_uri(content: bytes, *, kind: str) -> str:
    """A data URI of the content."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class LivePicture:
    """One image artifact whose picture is replaced during a run."""

    def __init__(self, key: str, *, description: str) -> None:
        self.key, self.description = key, one_line_escaped(description)
        self._id: UUID | None = None

    def show(self, svg: str) -> None:
        """Replace the picture by an SVG drawing."""
        url = data_uri(svg.encode(), kind=TYPES[".svg"])
        if self._id is None:
            self._id = _send(
                lambda: create_image_artifact(
                    image_url=url, key=self.key, description=self.description
                )
            )
        else:
            artifact_id = self._id
            _send(lambda: _replace(artifact_id, url))


def _replace(artifact_id: UUID, data: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_artifact(artifact_id=artifact_id, artifact=ArtifactUpdate(data=data))


class LiveProgress:
    """A progress artifact: created after a few seconds, updated every few seconds and at the end."""

    def __init__(self, key: str, *, unit: str) -> None:
        self.key, self.unit = key, unit
        self._id: UUID | None = None
        self._last = time.monotonic()
        self._pace = Pace()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` blocks are finished."""
        words = self._pace.describe(done, total)
        if done < total and time.monotonic() - self._last < SECONDS_BETWEEN_UPDATES:
            return
        self._last = time.monotonic()
        percent = 100.0 * min(done, total) / max(total, 1)
        text = one_line_escaped(f"{self.unit}: {words}" + (f"; {note}" if note else ""))
        if self._id is None:
            self._id = _send(lambda: create_progress_artifact(percent, self.key, text))
        else:
            artifact_id = self._id
            _send(lambda: update_progress_artifact(artifact_id, percent, text))


def flow_run_id() -> str:
    """The id of the current flow run; empty outside of one."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return str(task.task_run.flow_run_id or "")
    return str(flow.flow_run.id) if flow is not None and flow.flow_run is not None else ""
