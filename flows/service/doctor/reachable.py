"""The Prefect server that commands look at: the one that is set, or the one that `invae serve` runs on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

USUAL = "http://127.0.0.1:4200/api"
SECONDS = 5.0


@dataclass(frozen=True)
class Reached:
    """A server that answers."""

    address: str
    """Of its API, without a login in it."""
    client: "SyncPrefectClient"


@dataclass(frozen=True)
class Silence:
    """Why there is no server to look at."""

    address: str
    """Where none answers; empty if none was expected."""
    reason: str


@contextmanager
def reached() -> Iterator[Reached | Silence]:
    """The server at PREFECT_API_URL, or at the usual place on this machine; or why there is none."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    wanted = get_current_settings().api.url
    address = wanted or USUAL
    reason = _refusal(address)
    if reason:
        yield Silence(without_login(address) if wanted else "", reason)
        return
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        yield Reached(without_login(address), client)


def without_login(address: str) -> str:
    """The address without the `user:password@` that may stand in it."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _refusal(address: str) -> str:
    """Why a server cannot be looked at; empty if it can."""
    import httpx
    from prefect.settings import get_current_settings

    from invae.redaction import redacted

    login = get_current_settings().api.auth_string
    user, _, password = login.get_secret_value().partition(":") if login else ("", "", "")
    auth = httpx.BasicAuth(user, password) if login else None
    try:
        answer = httpx.get(f"{address}/admin/version", auth=auth, timeout=SECONDS)
    except httpx.HTTPError as error:
        return redacted(f"no Prefect server answers at {address} ({error})")
    place = without_login(address)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return f"{place} wants a login; set PREFECT_API_AUTH_STRING=USER:PASSWORD"
    return "" if answer.is_success else f"{place} answers {answer.status_code}"
