"""Processes of a facility on this machine: each on a free port, and gone when its test ends."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.soak.database import postgresql
from invae.errors import MachineError

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0
"""Seconds that a server, a worker or a state is waited for on a busy machine."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_API_URL": "/api",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """The environment of a facility's processes, without what the person who tests has set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**own, **QUIET, "PREFECT_HOME": str(tmp_path / "prefect")}


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Starts a process in a session of its own; at the end all of them are killed, with what they started."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str | None = None,
        folder: Path = tmp_path,
    ) -> subprocess.Popen[bytes]:
        with (tmp_path / f"process{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                cwd=folder,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in reversed(started):
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and everything that it started."""
    children = psutil.Process(process.pid).children(recursive=True) if _lives(process) else []
    process.kill()  # first, or it could still tell what became of the others
    process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


@pytest.fixture
def kill_all() -> Callable[[subprocess.Popen[bytes]], None]:
    """SIGKILL for a process and everything that it started."""
    return kill


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of the loopback that nobody listens on."""

    def find() -> int:
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            return some.getsockname()[1]

    return find


@pytest.fixture
def until() -> Callable[[Callable[[], bool], str], None]:
    """Waits until something is so, and fails with what was waited for."""

    def wait(is_so: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < end, f"{what}: not in {PATIENCE:.0f} s"
            time.sleep(0.5)

    return wait


@pytest.fixture
def serve(start, environment, free_port, until) -> Callable[..., str]:
    """Starts a Prefect server; the address of its API."""

    def begin(**settings: str) -> str:
        port = str(free_port())
        words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        process = start([sys.executable, *words], {**environment, **settings})
        address = f"http://127.0.0.1:{port}/api"

        def answers() -> bool:
            assert process.poll() is None, "the server has ended; see its log"
            try:
                return httpx.get(f"{address}/health").is_success
            except httpx.TransportError:
                return False

        until(answers, "a server that answers")
        return address

    return begin


@pytest.fixture
def database() -> Iterator[Callable[[str], Mapping[str, str]]]:
    """Starts a PostgreSQL with this password, and says what a server is told of it; skipped where there is none."""
    with ExitStack() as stack:

        def begin(password: str) -> Mapping[str, str]:
            try:
                return stack.enter_context(postgresql(password))
            except MachineError as error:
                pytest.skip(str(error))

        yield begin
