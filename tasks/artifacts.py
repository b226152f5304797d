"""Progress, tables and pictures in the Prefect UI; all of them work without a network beyond the server.

Nothing of a result depends on them: a server that cannot be reached costs a warning and the pictures, not the run.
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
from tasks.progress import Pace

UNREACHABLE = (httpx.HTTPError, PrefectException, ConnectionError, TimeoutError)
"""What the client raises when the server is gone, restarting or refuses."""

SECONDS_BETWEEN_UPDATES = 2.0
SECONDS_OF_SILENCE = 60.0
"""After a failure, so that a lost server does not slow the work down with its time-outs."""

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}

_logger = get_logger("invae")


class _Line:
    """Whether the server answers; kept per process, because a lost server is lost for every artifact."""

    silent_until = 0.0
    seconds = 0.0
    """That calls have taken so far."""


def telling_seconds() -> float:
    """Time that this process has spent on telling the server [s]."""
    return _Line.seconds


def _send(call: Callable[[], Any]) -> Any:
    """The answer of an artifact call; none outside of a run, or while the server is away."""
    outside = TaskRunContext.get() is None and FlowRunContext.get() is None
    if outside or time.monotonic() < _Line.silent_until:
        return None
    began = time.monotonic()
    try:
        return call()
    except UNREACHABLE as error:
        _Line.silent_until = time.monotonic() + SECONDS_OF_SILENCE
        _logger.warning(
            "the Prefect server does not answer (%s); the run goes on without it",
            redacted(repr(error)),
        )
        return None
    finally:
        _Line.seconds += time.monotonic() - began


def key_of(*words: str) -> str:
    """The words as an artifact's key: small letters, digits and dashes."""
    text = "-".join(words).lower()
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text).strip("-")


def plain(text: str) -> str:
    """Text that came with a recording, in one line, for a place that shows markdown: it stays text, whatever is in it.

    Tables and descriptions are shown as markdown too. Secrets are left out.
    """
    return escaped(" ".join(redacted(text).split()))


def escaped(text: str) -> str:
    """Text in lines that markdown shows as it is; letters that no database takes are replaced."""
    text = visible(text)
    text = _MARKED.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
    return text.replace("://", ":\\//")


def unescaped(text: str) -> str:
    """What was given to `escaped`."""
    return re.sub(r"\\(.)", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")


_MARKED = re.compile(
    r"[\\`*\[\]|~>]|!(?=\[)|(?<![^\W_])_|_(?![^\W_])|^[#+-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.M
)
"""Letters that markdown takes for more than letters; an underscore inside a word is one."""


def show_table(key: str, rows: Sequence[Mapping[str, Any]], *, description: str) -> None:
    """A table artifact; text in it stays text."""
    table = [
        {
            plain(str(name)): plain(value) if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]
    words = plain(description)
    _send(lambda: create_table_artifact(key=key, table=table, description=words))


def show_markdown(key: str, text: str, *, description: str) -> None:
    """A page of markdown as an artifact; what a recording says in it has been through `plain`."""
    words = plain(description)
    _send(lambda: create_markdown_artifact(key=key, markdown=text, description=words))


def show_picture(key: str, path: Path, *, description: str) -> None:
    """A PNG or SVG file as an artifact, with the picture inside it."""
    url, words = data_uri(path.read_bytes(), kind=TYPES[path.suffix]), plain(description)
    _send(lambda: create_image_artifact(image_url=url, key=key, description=words))


def data_uri(content: bytes, *, kind: str) -> str:
    """The content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class LivePicture:
    """One image artifact whose picture is replaced while the work goes on."""

    def __init__(self, key: str, *, description: str) -> None:
        self.key, self.description = key, plain(description)
        self._id: UUID | None = None

    def show(self, svg: str) -> None:
        """Put an SVG drawing in its place."""
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
    """A progress artifact: made after a few seconds, then updated every few seconds and at the end; at once if it was short."""

    def __init__(self, key: str, *, unit: str) -> None:
        self.key, self.unit = key, unit
        self._id: UUID | None = None
        self._last = time.monotonic()
        self._pace = Pace()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` pieces are finished."""
        words = self._pace.describe(done, total)
        if done < total and time.monotonic() - self._last < SECONDS_BETWEEN_UPDATES:
            return
        self._last = time.monotonic()
        percent = 100.0 * min(done, total) / max(total, 1)
        text = plain(f"{self.unit}: {words}" + (f"; {note}" if note else ""))
        if self._id is None:
            self._id = _send(lambda: create_progress_artifact(percent, self.key, text))
        else:
            artifact_id = self._id
            _send(lambda: update_progress_artifact(artifact_id, percent, text))


def flow_run_id() -> str:
    """The id of the flow run that we are in; empty outside of one."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return str(task.task_run.flow_run_id or "")
    return str(flow.flow_run.id) if flow is not None and flow.flow_run is not None else ""
