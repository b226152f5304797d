"""The server of the live page: on the loopback, with a token, for its own page alone."""

import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from flows.exploring.session import Session, version_of
from flows.exploring.training import Training
from flows.service.origin import OwnOrigin, own_origins
from invae.errors import InputError, InvaeError
from invae.report.explorer import module
from invae.report.explorer.detector_question import detector_of

LOOPBACK = "127.0.0.1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
MOST_BYTES = 4_000_000
"""Of a question."""
REFUSED = 4403
"""Code of a socket that is closed for its token."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>invae explore</title><link rel="stylesheet" href="style.css"></head>
<body><main><h1 id="title">invae explore</h1><p id="live-status" role="status">Loading.</p><div id="explorer" class="explorer"></div>
<div id="live" class="explorer"></div></main><script type="module" src="main.js"></script></body></html>
"""


class Explorer:
    """The page of one recording, and the answers to its questions."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder, self.token = folder, token
        self.training = Training(folder)
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The current result: opened again when a run has replaced it.

        Raises:
            InputError: there is none yet.
        """
        version = version_of(self.folder)
        if not version:
            raise InputError("the result is not finished yet; the page opens it when it is")
        if self._session is None or self._session.version != version:
            self._session = Session(self.folder, version)
        return self._session

    def state(self, question: dict[str, Any]) -> dict[str, Any]:
        """Version of the result, and progress of the training."""
        return {"version": version_of(self.folder), "training": self.training.state}

    def data(self, question: dict[str, Any]) -> dict[str, Any]:
        """All data of the view."""
        session = self.session
        return {**session.data, "version": session.version, "title": self.folder.name}

    def detector(self, question: dict[str, Any]) -> dict[str, Any]:
        """The image of a virtual detector."""
        return self.session.detector(detector_of(question))

    def label(self, question: dict[str, Any]) -> dict[str, Any]:
        """Save a named selection."""
        return self.session.label(str(question["name"]), [int(site) for site in question["sites"]])

    def train(self, question: dict[str, Any]) -> dict[str, Any]:
        """Start the training on the labels."""
        self.training.start()
        return self.training.state

    def classes(self, question: dict[str, Any]) -> dict[str, Any]:
        """Classes from the labels."""
        return self.training.classes(self.session.result["explorer"]["shown"].to_numpy())

    def is_allowed(self, token: str) -> bool:
        """Whether a token is that of the page."""
        return secrets.compare_digest(token.encode(), self.token.encode())


def _answers(
    explorer: Explorer, answer: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[Request], Awaitable[Response]]:
    """A route that answers questions with the right token."""

    async def route(request: Request) -> Response:
        if not explorer.is_allowed(request.headers.get("x-token", "")):
            return PlainTextResponse("refused: open the page by its whole address\n", 403)
        body = await request.body()
        if len(body) > MOST_BYTES:
            return PlainTextResponse("the question is too long\n", 413)
        try:
            question = json.loads(body or b"{}")
            return JSONResponse(await run_in_threadpool(answer, question), headers=HEADERS)
        except InvaeError as error:
            return JSONResponse({"error": str(error)}, 409, headers=HEADERS)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the question is not understood"}, 400, headers=HEADERS)

    return route


def _decodes(explorer: Explorer) -> Callable[[WebSocket], Awaitable[None]]:
    """A socket that decodes places: the token first, then `{place, member}`, answered by 32-bit numbers."""

    async def route(socket: WebSocket) -> None:
        await socket.accept()
        try:
            if not explorer.is_allowed(await socket.receive_text()):
                return await socket.close(REFUSED)
            async for question in socket.iter_json():
                await socket.send_bytes(await run_in_threadpool(_decoded, explorer, question))
        except WebSocketDisconnect:
            return None

    return route


def _decoded(explorer: Explorer, question: Any) -> bytes:
    """The decoded patch; nothing where the question has no answer."""
    try:
        return explorer.session.decode(question["place"], int(question["member"]))
    except (InvaeError, KeyError, TypeError, ValueError):
        return b""


def _text(content: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return route


def application(folder: Path, *, token: str, port: int) -> Starlette:
    """The live page of the recording in a folder."""
    explorer = Explorer(folder, token)
    css = files("invae.report").joinpath("templates", "page.css").read_text(encoding="utf-8")
    script = module.program("") + module.read("detector.js") + module.read("live.js")
    routes = [
        Route("/", _text(PAGE, "text/html")),
        Route("/main.js", _text(script, "text/javascript")),
        Route("/style.css", _text(css + module.style(), "text/css")),
        WebSocketRoute("/decode", _decodes(explorer)),
    ]
    answers = (
        explorer.state,
        explorer.data,
        explorer.detector,
        explorer.label,
        explorer.train,
        explorer.classes,
    )
    routes += [
        Route(f"/{answer.__name__}", _answers(explorer, answer), methods=["POST"])
        for answer in answers
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        explorer.training.stop()

    own = Middleware(OwnOrigin, origins=own_origins(LOOPBACK, port), by_number=False)
    return Starlette(routes=routes, middleware=[own], lifespan=lifespan)


def listening(port: int) -> socket.socket:
    """A socket on the loopback; port 0 takes a free one.

    Raises:
        InputError: the port is in use.
    """
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((LOOPBACK, port))
    except OSError as error:
        made.close()
        raise InputError(f"port {port} cannot be used ({error.strerror}); choose another --port") from error  # fmt: skip
    return made


def serve(folder: Path, *, port: int, on_address: Callable[[str], None]) -> None:
    """Serve the live page until ctrl-C; `on_address` gets its address, with the token behind the #."""
    import torch
    import uvicorn

    torch.set_num_threads(1)  # one patch at a time: more threads only wait for each other
    made, token = listening(port), secrets.token_urlsafe(24)
    number = made.getsockname()[1]
    app = application(folder, token=token, port=number)
    on_address(f"http://{LOOPBACK}:{number}/#{token}")
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[made])
