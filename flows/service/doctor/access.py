"""Who can reach the server, and whether the UI finds its API."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from flows.service.doctor.check import Check, fail, ok, warn
from flows.service.doctor.reachable import SECONDS

ANYBODY = "set PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD for the server, or bind it to 127.0.0.1"


def check_access(address: str, *, own: Sequence[str]) -> list[Check]:
    """Whether somebody who is not on this machine has to log in.

    Args:
        address: of the API.
        own: addresses of this machine by which others may reach it.
    """
    host, port = urlsplit(address).hostname or "", urlsplit(address).port
    if not is_loopback(host):
        if _lets_in(address):
            return [fail("access", f"{address} lets in anybody who reaches it", ANYBODY)]
        if urlsplit(address).scheme != "https":
            found = f"{address} wants a login, which travels in the open"
            return [warn("access", found, "put the proxy of deployments/compose.yaml before it")]
        return [ok("access", f"{address} wants a login")]
    open_at = [place for place in own if _lets_in(f"http://{_bracketed(place)}:{port}/api")]
    if open_at:
        found = f"the server also listens on {open_at[0]}:{port} and lets in anybody"
        return [fail("access", found, ANYBODY)]
    return [ok("access", "only this machine reaches the server without a login")]


def check_page(address: str) -> list[Check]:
    """Whether the UI asks the API where it is."""
    import httpx

    page = address.removesuffix("/api")
    try:
        answer = httpx.get(f"{page}/ui-settings", timeout=SECONDS)
        told = answer.json()["api_url"] if answer.is_success else None
    except (httpx.HTTPError, ValueError, KeyError):
        told = None
    if told is None:
        remedy = "set PREFECT_SERVER_UI_ENABLED=true for the server"
        return [warn("UI", f"no page at {page}", remedy)]
    remedy = "set PREFECT_SERVER_UI_API_URL=/api for the server"
    if told.startswith("/"):
        return [ok("UI", f"{page}, with its API at {told}")]
    if is_loopback(urlsplit(told).hostname or "") != is_loopback(urlsplit(page).hostname or ""):
        found = f"the page at {page} looks for its API at {told}, on the reader's own machine"
        return [fail("UI", found, remedy)]
    if not _answers(told):
        found = f"the page at {page} looks for its API at {told}, where nothing answers"
        return [fail("UI", found, remedy)]
    return [ok("UI", f"{page}, with its API at {told}")]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as seen by itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_addresses() -> list[str]:
    """Addresses of this machine by which others may reach it."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return []
    return sorted(host for host in found if not is_loopback(host))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _lets_in(address: str) -> bool:
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
