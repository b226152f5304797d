"""Which web pages may use the server: only its own. Requests under a foreign name, and from other origins, are refused."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
ANY = "*"
"""Prefect's default of the allowed origins: every web page."""
EVERYWHERE = ("0.0.0.0",)
"""Listening addresses that a client cannot connect to."""


def own_origins(host: str, port: int) -> list[str]:
    """The origins of a server's pages: its listening address, the loopback, and this machine's names if others reach it."""
    names = [*LOOPBACK_NAMES, host]
    if host in EVERYWHERE:
        names = [*LOOPBACK_NAMES, socket.gethostname(), socket.getfqdn()]
    return [f"http://{name.lower()}:{port}" for name in dict.fromkeys(names)]


class OwnOrigin:
    """Refuses requests of foreign pages before the server handles them.

    A page whose name was pointed at this machine (DNS rebinding) sends its own name as Host; every other page sends its
    origin. Programs send no origin.

    Args:
        app: the server.
        origins: addresses under which the server's own pages are opened.
        by_number: whether a network address is accepted as Host; a page cannot fake one by its name.
    """

    def __init__(self, app: "ASGIApp", *, origins: Iterable[str], by_number: bool) -> None:
        self._app, self._by_number = app, by_number
        self._origins = frozenset(origins)
        self._hosts = frozenset(urlsplit(origin).hostname for origin in self._origins)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        reason = self._fault(scope) if scope["type"] in ("http", "websocket") else ""
        if not reason:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse(f"{reason}\n", status_code=403)(scope, receive, send)

    def _fault(self, scope: "Scope") -> str:
        """Why a request is refused; empty if it is not."""
        hosts, origins = ([v for n, v in scope["headers"] if n == k] for k in (b"host", b"origin"))
        if len(hosts) != 1 or not self._is_own(hosts[0].decode("latin-1").lower()):
            return "refused: the server is not known by this name"
        host = hosts[0].decode("latin-1").lower()
        for origin in (value.decode("latin-1").lower() for value in origins):
            if origin not in self._origins and origin.partition("://")[2] != host:
                return "refused: the request comes from a page of another origin"
        return ""

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in self._hosts or (self._by_number and _is_number(name or ""))


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
