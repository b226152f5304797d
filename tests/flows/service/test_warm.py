"""Runs as forks of the warm process: exit codes, signals, and no process left at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.service.launch import ENGINE, SOCKET
from flows.service.warm import warm_process

PATIENCE = 60.0
WARM = """
import os, signal, socket, sys, time
from flows.service.warm import ForkServer
environment = ForkServer(socket.socket(fileno=int(sys.argv[1])), until=0).wait()
if environment is not None:
    os.environ.update(environment)
    exec(environment["DO"])
"""
STAY = "open(environment['NOTE'], 'w').write(str(os.getpid())); time.sleep(600)"

Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def warm(tmp_path) -> Iterator[subprocess.Popen[bytes]]:
    """A warm process without imports."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "warm"))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", WARM, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


@pytest.fixture
def launch(tmp_path) -> Iterator[Launch]:
    """Starts the launcher of a run with some code."""
    started: list[subprocess.Popen[str]] = []

    def begin(do: str) -> subprocess.Popen[str]:
        own = {SOCKET: str(tmp_path / "warm"), "DO": do, "NOTE": str(tmp_path / "note")}
        words = [sys.executable, "-m", "flows.service.launch"]
        started.append(
            subprocess.Popen(words, env={**os.environ, **own}, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def begun(tmp_path: Path) -> psutil.Process:
    """The run, once it is active."""
    note = tmp_path / "note"
    until(lambda: note.is_file() and note.read_text())
    return psutil.Process(int(note.read_text()))


@pytest.mark.parametrize(
    ("do", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
@pytest.mark.usefixtures("warm")
def test_the_launcher_exits_like_the_run(do, code, launch):
    assert launch(do).wait(PATIENCE) == code


def test_runs_are_children_of_the_warm_process_and_not_of_each_other(warm, launch):
    runs = [launch("time.sleep(600)") for _ in range(3)]
    until(lambda: len(psutil.Process(warm.pid).children()) == len(runs))
    runs[1].kill()
    until(lambda: len(psutil.Process(warm.pid).children()) == 2)
    assert runs[0].poll() is runs[2].poll() is None


@pytest.mark.usefixtures("warm")
def test_a_signal_reaches_the_run(launch, tmp_path):
    launcher = launch(f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); {STAY}")
    begun(tmp_path)
    launcher.terminate()
    assert launcher.wait(PATIENCE) == 3


@pytest.mark.usefixtures("warm")
def test_a_run_does_not_outlive_its_launcher(launch, tmp_path):
    launcher = launch(STAY)
    run = begun(tmp_path)
    launcher.kill()
    until(lambda: not run.is_running())


@pytest.mark.parametrize("how", ["its input closes", "it is killed"])
def test_runs_do_not_outlive_the_warm_process(how, warm, launch, tmp_path):
    launcher = launch(STAY)
    run = begun(tmp_path)
    if how == "it is killed":
        warm.kill()
    else:
        warm.stdin.close()
    assert launcher.wait(PATIENCE) != 0
    until(lambda: not run.is_running() or run.status() == psutil.STATUS_ZOMBIE)


def test_an_invalid_request_does_no_harm(warm, launch, tmp_path):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(tmp_path / "warm"))
        stranger.sendall(b"no request\n")
        assert stranger.recv(1) == b""
    assert launch("sys.exit(0)").wait(PATIENCE) == 0
    assert warm.poll() is None


def test_without_a_warm_process_a_run_starts_as_a_normal_process(launch):
    launcher = launch("")
    _, errors = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 1
    assert "Invalid flow run id" in errors, f"{ENGINE} was started without a run"


def test_only_this_user_can_request_runs_and_no_file_is_left():
    with warm_process():
        path = Path(os.environ[SOCKET])
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()
    assert SOCKET not in os.environ


LOADED = """
import sys
from flows.service.warm import load
from invae.config.kinds import KINDS
from invae.readers.registry import ROWS
from invae.storage import code_digest

load()
names = {row.partition(":")[0] for row in ROWS}
names |= {m for kind in KINDS.values() for stage in ("describe", "analyse", "report") for m in kind.modules(stage)}
print(sorted(names - sys.modules.keys()))
reads = code_digest.own_digest.cache_info().misses
code_digest.code_digest.cache_clear()
code_digest.code_digest(*sorted(names))
print(code_digest.own_digest.cache_info().misses - reads)
"""


def test_the_warm_process_has_imported_and_digested_the_code_of_all_kinds_and_readers():
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines() == ["[]", "0"]
