"""The Prefect API of a run: the server that the user has set, or a temporary one on SQLite for the time of the command.

`python -m flows.service.server DESCRIPTOR` is the process of the temporary server. It listens on an inherited socket and
ends when the pipe to its parent closes, so that even a parent killed by SIGKILL leaves no server behind.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from flows.service import login
from flows.service.origin import ANY, EVERYWHERE, OwnOrigin, own_origins
from invae.errors import ServerError
from invae.redaction import one_line, redacted

if TYPE_CHECKING:
    import uvicorn

STARTUP_SECONDS = 120.0
STOP_SECONDS = 10.0

DEFAULTS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "invae",  # log messages of Dask workers
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # single stages have no flow
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(STARTUP_SECONDS)),
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""Defaults of Prefect settings; the environment overrides them."""

QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}
"""Keep Prefect's log off the console, where it would disturb the progress bars; the server still stores it."""

SERVER_ONLY = {
    "PREFECT_SERVER_UI_API_URL": "/api",  # otherwise the page expects the API on port 4200
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}

WITHOUT_SCHEDULES = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
}
"""A temporary server starts no scheduled runs; they belong to the permanent server."""

ERROR = re.compile(r"(Fatal Python error|[A-Za-z_.]+(Error|Exception)): ")
"""Beginning of a line that names an error."""
UNKNOWN_REVISION = "Can't locate revision"
NEWER_DATABASE = "a newer Prefect has changed the database: update Prefect, or set PREFECT_HOME to another folder"

LOOPBACK = "127.0.0.1"
LONGEST = 200
"""Characters of a server's error that are shown."""


def prepare_environment(*, verbose: bool) -> None:
    """Set the environment variables that Prefect reads at import; variables that are already set stay."""
    for name, value in {**DEFAULTS, **({} if verbose else QUIET)}.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_api(report: Callable[[str], None]) -> Iterator[str]:
    """Address of the API for flows inside the block; a temporary server if none is set.

    Args:
        report: called with the address of the UI.

    Raises:
        ConfigError: if others can read the login of this installation.
        ServerError: if the server that is set does not answer, or the temporary one does not start.
    """
    from prefect.settings import (
        PREFECT_CLIENT_MAX_RETRIES,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        get_current_settings,
        temporary_settings,
    )

    from tasks.gpu_slot import without_shared_server

    address = get_current_settings().api.url
    if address:
        require_answer(address)
        with login.logged_in(address, login.login_for(address)):
            yield address
        return
    server = LocalServer()
    try:
        _import_while_waiting()
        server.wait()
        report(f"Prefect UI at {server.address}; {login.hint()}")
        settings = temporary_settings(
            {
                # the server ends with the run, and joining the heartbeat thread takes a second
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                # on this machine, a server that does not answer in 6 s does not answer in 62 s either
                PREFECT_CLIENT_MAX_RETRIES: 2,
            }
        )
        api = server.address + "/api"
        with login.logged_in(api, login.own_login()), settings, without_shared_server():
            try:
                yield api
            finally:
                if server.is_alive:
                    _flush()
    finally:
        server.stop()


def require_answer(address: str) -> None:
    """Check that a Prefect server answers at an address, of a version that this one can use.

    Raises:
        ServerError: if none does.
    """
    import httpx

    from tasks.deadlines import limit_answers

    limit_answers()
    try:
        httpx.get(f"{address}/health", timeout=STOP_SECONDS)
    except httpx.HTTPError as error:
        raise ServerError(
            f"no Prefect server answers at {address} ({error}); start it, or unset PREFECT_API_URL"
        ) from error
    _require_version(address)


def _require_version(address: str) -> None:
    """Check the version of a server as Prefect does when a run begins, which raises whatever the answer leads to.

    Raises:
        ServerError: if it is missing, no version, or one that cannot be used.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_REQUEST_TIMEOUT,
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    from tasks.artifacts import UNREACHABLE

    once = temporary_settings(
        {
            PREFECT_API_URL: address,
            PREFECT_API_REQUEST_TIMEOUT: STOP_SECONDS,
            PREFECT_CLIENT_MAX_RETRIES: 0,
        }
    )
    with once, login.logged_in(address, login.login_for(address)):
        try:
            with get_client(sync_client=True) as client:
                client.raise_for_api_version_mismatch()
        except (*UNREACHABLE, RuntimeError, ValueError, TypeError) as error:
            raise ServerError(_fault(address, error)) from error


def _fault(address: str, error: Exception) -> str:
    """Why a server that answers cannot be used, and what to do."""
    import prefect

    place, reason = redacted(address), one_line(str(error.__cause__ or error))[:LONGEST]
    if "401 Unauthorized" in reason:
        return f"{place} needs a login; set {login.VARIABLE}=USER:PASSWORD"
    return (
        f"{place} does not answer as a Prefect server should ({reason}); set PREFECT_API_URL to one of "
        f"version {prefect.__version__}, or unset it"
    )


def _import_while_waiting() -> None:
    """Import PyTorch while the server starts on another core."""
    import torch  # noqa: F401


def _flush() -> None:
    """Send pending states and log lines to the server before it ends."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=STOP_SECONDS)
    APILogWorker.drain_all(timeout=STOP_SECONDS)


class LocalServer:
    """A Prefect server with UI in a child process that ends with this process.

    It requires a login, and serves only its own pages.

    Args:
        host: listening address.
        port: 0 for a free one.
        schedules: whether it starts scheduled runs.

    Raises:
        ConfigError: if others can read the login of this installation.
        ServerError: if the port is taken.
    """

    def __init__(self, *, host: str = LOOPBACK, port: int = 0, schedules: bool = False) -> None:
        self._socket = _listen(host, port)
        self.host, self.port = host, self._socket.getsockname()[1]
        client_host = LOOPBACK if host in EVERYWHERE else host
        self.address = f"http://{client_host}:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the server runs)
        descriptor = self._socket.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.service.server", str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[descriptor],
            env={
                **os.environ,
                **SERVER_ONLY,
                **({} if schedules else WITHOUT_SCHEDULES),
                **_guarded(host, self.port),
            },
            start_new_session=True,  # ctrl-C goes to the run only, which reports its end to the server
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: if the process ends or does not answer in time.
        """
        import httpx

        self._socket.close()  # else connections to a dead server wait in the queue of this socket
        end = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < end:
            if not self.is_alive:
                raise ServerError(
                    f"the Prefect server ended during startup: {last_line(self._log)}"
                )
            try:
                answer = httpx.get(f"{self.address}/api/health", timeout=end - time.monotonic())
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.is_success:
                return
        raise ServerError(
            f"the Prefect server did not answer in {STARTUP_SECONDS:.0f} s; try again"
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def stop(self) -> None:
        """End the process and free the port."""
        self._socket.close()
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _guarded(host: str, port: int) -> dict[str, str]:
    """Settings of a server that requires a login and serves its own origins, or those that the user has set."""
    from prefect.settings import get_current_settings

    chosen = get_current_settings().server.api.cors_allowed_origins
    return {
        "PREFECT_SERVER_API_AUTH_STRING": login.own_login(),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(
            [*own_origins(host, port), *([] if chosen == ANY else chosen.split(","))]
        ),
    }


def last_line(log: IO[bytes]) -> str:
    """The last error in a log, else its last line."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if ERROR.match(line)]
    cause = (errors or lines or ["no output"])[-1]
    return f"{cause}; {NEWER_DATABASE}" if UNKNOWN_REVISION in cause else cause


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise ServerError(
            f"port {port} of {host} is not available ({error.strerror}); give another --port, 0 for a free one"
        ) from error


def serve(descriptor: int) -> None:
    """Run the server on a listening socket until standard input closes."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    from flows.service.garbage import collect_when_idle

    listener = socket.socket(fileno=descriptor)
    app = OwnOrigin(
        create_app(final=True),
        origins=get_current_settings().server.api.cors_allowed_origins.split(","),
        by_number=listener.getsockname()[0] in EVERYWHERE,
    )
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    collect_when_idle()
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _stop_with_parent(server: "uvicorn.Server") -> None:
    # a buffered stream would be locked while the interpreter ends, which hides the cause of the end
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.should_exit = True
    time.sleep(STOP_SECONDS / 2)
    os._exit(
        0
    )  # the event loop is blocked; the database is consistent, SQLite commits every change


if __name__ == "__main__":
    serve(int(sys.argv[1]))
