"""The Prefect API behind a run: the person's own, or a server on SQLite that lives as long as the command.

`python -m flows.service.server DESCRIPTOR` is the server's process. It listens on a socket that it was given, on the loopback
only, and goes when the pipe to its parent closes: also a parent killed by SIGKILL leaves no server behind.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from invae.errors import ServerError

if TYPE_CHECKING:
    import uvicorn

STARTUP_SECONDS = 120.0
STOP_SECONDS = 10.0

DEFAULTS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "invae",  # what Dask's workers tell
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # single stages have no flow
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(STARTUP_SECONDS)),
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""Settings of Prefect that a person may override in the environment."""

QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}
"""Nothing of Prefect's log between the progress bars; the server keeps it all the same."""

SERVER_ONLY = {
    "PREFECT_SERVER_UI_API_URL": "/api",  # else the page looks for the API on port 4200
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}

WITHOUT_SCHEDULES = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
}
"""A server that lives for one run schedules nothing: what is due belongs to the server that stays."""


LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0",)
"""Addresses that are listened on and cannot be called."""


def prepare_environment(*, verbose: bool) -> None:
    """Set what Prefect reads when it is imported; what the person has set stays."""
    for name, value in {**DEFAULTS, **({} if verbose else QUIET)}.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_api(say: Callable[[str], None]) -> Iterator[str]:
    """The address of the API for the flows inside; a server of our own if none is set.

    Args:
        say: told where to watch.

    Raises:
        ServerError: if the person's server does not answer, or our own does not start.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        get_current_settings,
        temporary_settings,
    )

    from tasks.gpu_slot import without_shared_server

    address = get_current_settings().api.url
    if address:
        refuse_silence(address)
        yield address
        return
    server = LocalServer()
    try:
        _import_while_waiting()
        server.wait()
        say(f"watch it at {server.address}")
        own = temporary_settings(
            {
                PREFECT_API_URL: server.address + "/api",
                # it goes with the run, and joining the heart's thread takes a second
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                # it is on this machine: if it does not answer after 6 s, waiting 62 s does not help
                PREFECT_CLIENT_MAX_RETRIES: 2,
            }
        )
        with own, without_shared_server():
            try:
                yield server.address + "/api"
            finally:
                if server.is_alive:
                    _flush()
    finally:
        server.stop()


def refuse_silence(address: str) -> None:
    """Say so at once if nothing answers at an address.

    Raises:
        ServerError: if nothing does.
    """
    import httpx

    try:
        httpx.get(f"{address}/health", timeout=STOP_SECONDS)
    except httpx.HTTPError as error:
        raise ServerError(
            f"no Prefect server answers at {address} ({error}); start it, or unset PREFECT_API_URL"
        ) from error


def _import_while_waiting() -> None:
    """Import what the stages need while the server starts on another core."""
    import torch  # noqa: F401


def _flush() -> None:
    """Hand the last states and lines of log to the server before it goes."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=STOP_SECONDS)
    APILogWorker.drain_all(timeout=STOP_SECONDS)


class LocalServer:
    """A Prefect server with its UI, on a port of the loopback, in a process that dies with this one.

    Args:
        host: address to listen on.
        port: a free one if it is 0.
        schedules: whether it makes the runs that are due.

    Raises:
        ServerError: if the port is taken.
    """

    def __init__(self, *, host: str = LOOPBACK, port: int = 0, schedules: bool = False) -> None:
        self._socket = _listening(host, port)
        self.host, self.port = host, self._socket.getsockname()[1]
        reached_at = LOOPBACK if host in EVERYWHERE else host
        self.address = f"http://{reached_at}:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the server lives)
        descriptor = self._socket.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.service.server", str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[descriptor],
            env={**os.environ, **SERVER_ONLY, **({} if schedules else WITHOUT_SCHEDULES)},
            start_new_session=True,  # ctrl-C is for the run, which still has to say that it stopped
        )

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            ServerError: if its process ends, or does not answer in time.
        """
        import httpx

        self._socket.close()  # so that a dead server refuses instead of leaving us in its queue
        end = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < end:
            if not self.is_alive:
                raise ServerError(
                    f"the Prefect server ended while it started: {last_line(self._log)}"
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
        """Of its process."""
        return self._process.pid

    def stop(self) -> None:
        """End the process and free its port."""
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


def last_line(log: IO[bytes]) -> str:
    """What a process said last."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise ServerError(
            f"port {port} of {host} cannot be had ({error.strerror}); give another --port, 0 for a free one"
        ) from error


def serve(descriptor: int) -> None:
    """Run the server on a listening socket until standard input closes."""
    import uvicorn
    from prefect.server.api.server import create_app

    listener = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        create_app(final=True), log_level="error", access_log=False, timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _stop_with_parent(server: "uvicorn.Server") -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.should_exit = True
    time.sleep(STOP_SECONDS / 2)
    os._exit(0)  # something holds the event loop; the database is safe, SQLite commits each change


if __name__ == "__main__":
    serve(int(sys.argv[1]))
