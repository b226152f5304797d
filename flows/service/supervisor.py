"""`invae serve` on one machine: the Prefect server on SQLite, the runner process and the schedules.

Server and runner end with the command, also if it is killed. If one of them dies earlier, it is started again, and
interrupted runs continue.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from flows.service import runner, server
from flows.service.login import VARIABLE, hint, logged_in, login_for, own_login
from flows.service.runner import READY, ServeConfig
from flows.service.server import LOOPBACK, LocalServer, last_line
from invae.errors import ConfigError, ServerError

PORT = 4200
AUTHENTICATION = "PREFECT_SERVER_API_AUTH_STRING"
START_SECONDS = server.STARTUP_SECONDS
RESTART_SECONDS = 10.0
"""Time between two attempts to restart server or runner."""


def require_login(host: str) -> None:
    """Refuse a network address without authentication.

    Raises:
        ConfigError: if others can reach the address and no authentication is set.
    """
    if host.startswith("127.") or host in ("localhost", "::1") or os.environ.get(AUTHENTICATION):
        return
    raise ConfigError(
        f"others can reach --host {host} without a login; "
        f"set {AUTHENTICATION} to USER:PASSWORD in the environment, or omit --host"
    )


class RunnerProcess:
    """The runner and all processes that it has started, in one process group."""

    def __init__(self, api: str, login: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process runs)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.service.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PREFECT_API_URL": api, **({VARIABLE: login} if login else {})},
            start_new_session=True,  # ctrl-C goes to the command only, which ends the whole group
        )

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def serve(self, served: ServeConfig) -> None:
        """Send the configuration and wait until the runner is ready.

        Raises:
            ServerError: if the runner ends or is not ready in time.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write(served.model_dump_json().encode() + b"\n")
            stdin.flush()
        select.select([stdout], [], [], START_SECONDS)
        if not self.is_alive or stdout.read(len(READY)) != READY.encode():
            raise ServerError(f"the runner did not start: {last_line(self._log)}")

    def stop(self) -> None:
        """End the runner and all processes that it has started."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(runner.STOP_SECONDS + 5)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


class Supervisor:
    """Starts server and runner and restarts them when they end.

    Args:
        served: configuration of the runner.
        host: listening address of the server.
        port: 0 for a free one.
        api: address of an existing server; then no server is started.
        report: called with one line per event.
    """

    def __init__(
        self,
        served: ServeConfig,
        *,
        host: str = LOOPBACK,
        port: int = PORT,
        api: str | None = None,
        report: Callable[[str], None],
    ) -> None:
        self._served, self._report = served, report
        self._server = None if api else LocalServer(host=host, port=port, schedules=True)
        self._host, self._port = host, self._server.port if self._server else port
        self.api = api or f"{self._own.address}/api"
        self.login = login_for(api) if api else own_login()
        self._runner = RunnerProcess(self.api, self.login)
        self._next_attempt = 0.0

    @property
    def _own(self) -> LocalServer:
        assert self._server is not None
        return self._server

    @property
    def page(self) -> str:
        """Address of the UI."""
        return self.api.removesuffix("/api")

    @property
    def hint(self) -> str:
        """How to log in to the UI; empty for the user's own server."""
        return hint() if self._server else ""

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of server and runner."""
        return (*([self._server.pid] if self._server else []), self._runner.pid)

    def start(self) -> None:
        """Start server and runner and wait until they are ready.

        Raises:
            ServerError: if server or runner does not start.
        """
        if self._server:
            self._server.wait()
            self._recover(None)
            _make_slot()
        self._runner.serve(self._served)

    def tend(self) -> None:
        """Restart server or runner if it has ended; a runner is always restarted with its server."""
        server_lost = self._server is not None and not self._server.is_alive
        if not server_lost and self._runner.is_alive:
            return
        if time.monotonic() < self._next_attempt:
            return
        self._report(f"the {'server' if server_lost else 'runner'} has ended; restarting it")
        self._next_attempt = time.monotonic() + RESTART_SECONDS
        instant = datetime.now(UTC)
        try:
            self._runner.stop()
            if server_lost:
                self._own.stop()
                self._server = LocalServer(host=self._host, port=self._port, schedules=True)
                self._server.wait()
            self._recover(instant)
            self._runner = RunnerProcess(self.api, self.login)
            self._runner.serve(self._served)
        except ServerError as error:
            self._report(f"{error}; next attempt in {RESTART_SECONDS:.0f} s")

    def _recover(self, crashed_since: datetime | None) -> None:
        from flows.service.recovery import recover

        for name in recover(crashed_since=crashed_since):
            self._report(f"{name}: continues")

    def stop(self) -> None:
        """End runner and server; interrupted runs continue at the next start."""
        from tasks.artifacts import UNREACHABLE

        instant = datetime.now(UTC)
        try:
            self._runner.stop()
            if self._server and self._server.is_alive:
                with suppress(*UNREACHABLE):
                    self._recover(instant)
        finally:
            if self._server:
                self._server.stop()


def _make_slot() -> None:
    """Create the GPU slot on the server, so that runs use the GPU one after the other."""
    from prefect.client.orchestration import get_client

    from flows.service.doctor.server import make_limit

    with get_client(sync_client=True) as client:
        make_limit(client)


@contextmanager
def supervised(
    served: ServeConfig,
    *,
    host: str = LOOPBACK,
    port: int = PORT,
    report: Callable[[str], None],
) -> Iterator[Supervisor]:
    """Server, runner and schedules for the time of the block; no server is started if the user has set one.

    Raises:
        ConfigError: if others could reach the server without encryption by accident, or can read its login.
        ServerError: if the port is in use, or server or runner does not start.
    """
    require_login(host)
    if AUTHENTICATION in os.environ:
        os.environ.setdefault(VARIABLE, os.environ[AUTHENTICATION])
    from prefect.settings import get_current_settings

    address = get_current_settings().api.url
    if address:
        server.require_answer(address)
    supervisor = Supervisor(served, host=host, port=port, api=address, report=report)
    with logged_in(supervisor.api, supervisor.login):
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.stop()
