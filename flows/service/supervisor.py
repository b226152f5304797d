"""Everything on one machine: the Prefect server on SQLite, the process that carries out runs, and the schedules.

All of it dies with the command that holds it, however that ends; what dies before it is started again, and runs that were
stopped in the middle go on.
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
from flows.service.runner import READY, Served
from flows.service.server import LOOPBACK, LocalServer, last_line
from invae.errors import ConfigError, ServerError

PORT = 4200
AUTHENTICATION = "PREFECT_SERVER_API_AUTH_STRING"
START_SECONDS = server.STARTUP_SECONDS
AGAIN_SECONDS = 10.0
"""Between two attempts to start what has ended."""


def refuse_strangers(host: str) -> None:
    """Refuse to listen to the network unless everybody has to say who they are.

    Raises:
        ConfigError: if no authentication is set.
    """
    if host.startswith("127.") or host in ("localhost", "::1") or os.environ.get(AUTHENTICATION):
        return
    raise ConfigError(
        f"--host {host} can be reached by others and nobody would have to log in; "
        f"set {AUTHENTICATION} to USER:PASSWORD in the environment, or leave --host out"
    )


class RunnerProcess:
    """The process that carries out runs, with all that it has started in a group of its own."""

    def __init__(self, api: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process lives)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.service.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PREFECT_API_URL": api},
            start_new_session=True,  # ctrl-C is for the command; the group is ended as a whole
        )

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it carries out runs."""
        return self._process.poll() is None

    def serve(self, served: Served) -> None:
        """Say what to carry out, and return when it does.

        Raises:
            ServerError: if it ends, or does not begin in time.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write(served.model_dump_json().encode() + b"\n")
            stdin.flush()
        select.select([stdout], [], [], START_SECONDS)
        if not self.is_alive or stdout.read(len(READY)) != READY.encode():
            raise ServerError(f"the runner did not begin: {last_line(self._log)}")

    def stop(self) -> None:
        """End it and everything that it has started."""
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


class Serving:
    """Server and runner, started and kept alive.

    Args:
        served: what the runner carries out.
        host: address that the server listens on.
        port: a free one if it is 0.
        api: of a server that is there already; none of our own is started.
        say: told what happens, a line each.
    """

    def __init__(
        self,
        served: Served,
        *,
        host: str = LOOPBACK,
        port: int = PORT,
        api: str | None = None,
        say: Callable[[str], None],
    ) -> None:
        self._served, self._say = served, say
        self._server = None if api else LocalServer(host=host, port=port, schedules=True)
        self._host, self._port = host, self._server.port if self._server else port
        self.api = api or f"{self._own.address}/api"
        self._runner = RunnerProcess(self.api)
        self._next_attempt = 0.0

    @property
    def _own(self) -> LocalServer:
        assert self._server is not None
        return self._server

    @property
    def page(self) -> str:
        """Where to watch."""
        return self.api.removesuffix("/api")

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the processes of server and runner."""
        return (*([self._server.pid] if self._server else []), self._runner.pid)

    def start(self) -> None:
        """Return when runs are carried out.

        Raises:
            ServerError: if server or runner do not start.
        """
        if self._server:
            self._server.wait()
            self._recover(None)
            _make_slot()
        self._runner.serve(self._served)

    def tend(self) -> None:
        """Start what has ended again; a runner goes with its server, which it would not find again."""
        server_lost = self._server is not None and not self._server.is_alive
        if not server_lost and self._runner.is_alive:
            return
        if time.monotonic() < self._next_attempt:
            return
        self._say(f"the {'server' if server_lost else 'runner'} has ended; starting it again")
        self._next_attempt = time.monotonic() + AGAIN_SECONDS
        began = datetime.now(UTC)
        try:
            self._runner.stop()
            if server_lost:
                self._own.stop()
                self._server = LocalServer(host=self._host, port=self._port, schedules=True)
                self._server.wait()
            self._recover(began)
            self._runner = RunnerProcess(self.api)
            self._runner.serve(self._served)
        except ServerError as error:
            self._say(f"{error}; trying again in {AGAIN_SECONDS:.0f} s")

    def _recover(self, crashed_since: datetime | None) -> None:
        from flows.service.recovery import recover

        for name in recover(crashed_since=crashed_since):
            self._say(f"{name}: goes on")

    def stop(self) -> None:
        """End everything; runs that are stopped in the middle go on the next time."""
        from tasks.artifacts import UNREACHABLE

        began = datetime.now(UTC)
        try:
            self._runner.stop()
            if self._server and self._server.is_alive:
                with suppress(*UNREACHABLE):
                    self._recover(began)
        finally:
            if self._server:
                self._server.stop()


def _make_slot() -> None:
    """The GPU's slot on a server of our own, so that runs take turns on the GPU."""
    from prefect.client.orchestration import get_client

    from flows.service.doctor.server import make_limit

    with get_client(sync_client=True) as client:
        make_limit(client)


@contextmanager
def serving(
    served: Served,
    *,
    host: str = LOOPBACK,
    port: int = PORT,
    say: Callable[[str], None],
) -> Iterator[Serving]:
    """Server, runner and schedules for as long as the block lasts; the person's own server if one is set.

    Raises:
        ConfigError: if others could reach the server without logging in.
        ServerError: if the port is taken, or server or runner do not start.
    """
    refuse_strangers(host)
    if AUTHENTICATION in os.environ:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", os.environ[AUTHENTICATION])
    from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

    address = get_current_settings().api.url
    if address:
        server.refuse_silence(address)
    held = Serving(served, host=host, port=port, api=address, say=say)
    with temporary_settings({PREFECT_API_URL: held.api}):
        try:
            held.start()
            yield held
        finally:
            held.stop()
