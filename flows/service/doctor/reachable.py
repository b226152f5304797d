"""The Prefect server for `status` and `doctor`: the one that is set, or `invae serve` on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DEFAULT = "http://127.0.0.1:4200/api"
SECONDS = 5.0


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    address: str
    """Address of the API, without a login."""
    client: "SyncPrefectClient"


@dataclass(frozen=True)
class NoServer:
    """Why no server can be used."""

    address: str
    """The address that is set; empty if none is."""
    reason: str


@contextmanager
def reachable_server() -> Iterator[Server | NoServer]:
    """The server at PREFECT_API_URL or at the default address on this machine, or why there is none."""
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    from flows.service.login import logged_in, login_for

    configured = get_current_settings().api.url
    address = configured or DEFAULT
    reason = _refusal(address)
    if reason:
        yield NoServer(without_login(address) if configured else "", reason)
        return
    with logged_in(address, login_for(address)), get_client(sync_client=True) as client:
        yield Server(without_login(address), client)


def without_login(address: str) -> str:
    """The address without `user:password@`."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _refusal(address: str) -> str:
    """Why a server cannot be used; empty if it can."""
    import httpx

    from flows.service.login import login_for
    from invae.redaction import redacted

    login = login_for(address)
    user, _, password = login.partition(":") if login else ("", "", "")
    auth = httpx.BasicAuth(user, password) if login else None
    try:
        answer = httpx.get(f"{address}/admin/version", auth=auth, timeout=SECONDS)
    except httpx.HTTPError as error:
        return redacted(f"no Prefect server answers at {address} ({error})")
    place = without_login(address)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return f"{place} needs a login; set PREFECT_API_AUTH_STRING=USER:PASSWORD"
    return "" if answer.is_success else f"{place} answers {answer.status_code}"
