"""Who can access the server, and whether the UI finds its API."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from flows.service.doctor.check import Check, fail, ok, warn
from flows.service.doctor.reachable import SECONDS

ANYBODY = "set PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD for the server, or bind it to 127.0.0.1"

ANYBODY_HERE = (
    "start it by `invae serve`, or set PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD for it"
)


def check_access(address: str, *, own: Sequence[str]) -> list[Check]:
    """Whether the server requires a login from other machines.

    Args:
        address: address of the API.
        own: network addresses of this machine.
    """
    host, port = urlsplit(address).hostname or "", urlsplit(address).port
    if not is_loopback(host):
        if _is_open(address):
            return [fail("access", f"{address} needs no login", ANYBODY)]
        if urlsplit(address).scheme != "https":
            found = f"{address} needs a login, which is sent without encryption"
            return [warn("access", found, "use the proxy of deployments/compose.yaml")]
        return [ok("access", f"{address} needs a login")]
    exposed = [each for each in own if _is_open(f"http://{_bracketed(each)}:{port}/api")]
    if exposed:
        found = f"the server also listens on {exposed[0]}:{port} and needs no login there"
        return [fail("access", found, ANYBODY)]
    if _is_open(address):
        found = f"every program and web page on this machine can use {address} without a login"
        return [warn("access", found, ANYBODY_HERE)]
    return [ok("access", f"{address} needs a login, and only this machine can reach it")]


def check_page(address: str) -> list[Check]:
    """Whether the UI connects to the API of its own server."""
    import httpx

    page = address.removesuffix("/api")
    try:
        answer = httpx.get(f"{page}/ui-settings", timeout=SECONDS)
        api = answer.json()["api_url"] if answer.is_success else None
    except (httpx.HTTPError, ValueError, KeyError):
        api = None
    if api is None:
        remedy = "set PREFECT_SERVER_UI_ENABLED=true for the server"
        return [warn("UI", f"no page at {page}", remedy)]
    remedy = "set PREFECT_SERVER_UI_API_URL=/api for the server"
    if api.startswith("/"):
        return [ok("UI", f"{page}, with its API at {api}")]
    if is_loopback(urlsplit(api).hostname or "") != is_loopback(urlsplit(page).hostname or ""):
        found = f"the page at {page} expects its API at {api}, on the machine of the browser"
        return [fail("UI", found, remedy)]
    if not _answers(api):
        found = f"the page at {page} expects its API at {api}, where nothing answers"
        return [fail("UI", found, remedy)]
    return [ok("UI", f"{page}, with its API at {api}")]


def is_loopback(host: str) -> bool:
    """Whether a host is the loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_addresses() -> list[str]:
    """Network addresses of this machine, without the loopback."""
    try:
        hosts = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return []
    return sorted(host for host in hosts if not is_loopback(host))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_open(address: str) -> bool:
    """Whether the API answers without a login."""
    import httpx

    try:
        answer = httpx.post(f"{address}/flows/filter", json={"limit": 1}, timeout=SECONDS)
    except httpx.HTTPError:
        return False
    return answer.is_success


def _answers(address: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{address}/health", timeout=SECONDS).status_code < 500
    except httpx.HTTPError:
        return False
