"""The Prefect server for `status` and `doctor`: the one that is set, or `invae serve` on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from invae.deadlines import within
from invae.redaction import one_line, redacted

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DEFAULT = "http://127.0.0.1:4200/api"
SECONDS = 5.0
"""Time limit of one request [s]."""
SECONDS_IN_ALL = 10.0
"""Time limit of all requests of `status` or `doctor` together [s]."""

REMEDY = "start it again, or unset PREFECT_API_URL"
LONGEST = 200
"""Characters of a server's error that are shown."""

Answer = TypeVar("Answer")


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


def ask_server(question: Callable[[Server], Answer]) -> "Answer | NoServer":
    """The answer of the server to all requests of a question, or why there is none; bounded in time.

    Args:
        question: sends requests to the server.
    """
    import prefect.client.orchestration  # noqa: F401 (importing takes seconds, which are not the server's)
    from prefect.settings import get_current_settings

    from tasks.artifacts import UNREACHABLE

    address = without_login(get_current_settings().api.url or DEFAULT)

    def ask() -> "Answer | NoServer":
        with reachable_server() as server:
            return server if isinstance(server, NoServer) else question(server)

    try:
        return within(SECONDS_IN_ALL, ask)
    except TimeoutError:
        words = f"takes longer than {SECONDS_IN_ALL:.0f} s to answer"
    except (*UNREACHABLE, ValueError) as error:
        words = f"does not answer as it should ({one_line(redacted(str(error)))[:LONGEST]})"
    return NoServer(address, f"the Prefect server at {address} {words}; {REMEDY}")


@contextmanager
def reachable_server() -> Iterator[Server | NoServer]:
    """The server at PREFECT_API_URL or at the default address on this machine, or why there is none."""
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    from flows.service.login import logged_in, login_for
    from tasks.deadlines import limit_answers

    limit_answers()
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

    login = login_for(address)
    user, _, password = login.partition(":") if login else ("", "", "")
    auth = httpx.BasicAuth(user, password) if login else None
    try:
        answer = httpx.get(f"{address}/admin/version", auth=auth, timeout=SECONDS)
    except httpx.HTTPError as error:
        return redacted(f"no Prefect server answers at {address} ({error}); {REMEDY}")
    place = without_login(address)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return f"{place} needs a login; set PREFECT_API_AUTH_STRING=USER:PASSWORD"
    return "" if answer.is_success else f"{place} answers {answer.status_code}; {REMEDY}"
