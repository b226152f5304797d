"""A process that has imported everything once; every run on this machine begins as a fork of it, not with seconds of imports.

`python -m flows.service.warm DESCRIPTOR` listens on a socket that only this user reaches, and goes when its input closes, with all
runs that it has begun. `flows.service.launch` asks it for a run, and begins one as usual where nobody answers: this process saves
time and decides nothing.
"""

import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from flows.service.launch import ENGINE, PLACE

EVERYTHING = (
    "prefect.flow_engine",
    "flows.process",
    "flows.watch",
    "flows.day",
    "invae.readers.ingest",
    "invae.descriptors.describe",
    "invae.training.train",
    "invae.embedding.embed",
    "invae.analysis.analyse",
    "invae.report",
)
RUN_NAME = "invae run"
"""What lists of processes call a run."""
REQUEST_SECONDS = 10.0
PR_SET_PDEATHSIG = 1

Environment = dict[str, str]


def load() -> None:
    """Import what runs need, and settle what code they are: that of now, also if the files change later."""
    for name in EVERYTHING:
        import_module(name)
    from invae.stages import stages

    for stage in stages.STAGES.values():
        stages.code_of(stage)
    gc.collect()
    gc.freeze()  # what is shared with the runs is not written to by their collections


@dataclass(frozen=True)
class Run:
    """A process that was asked for, and who asked."""

    process: int
    """Descriptor that becomes readable when it ends."""
    pid: int
    asker: socket.socket
    """Tells of signals for it; closes when the asker dies, and the run with it."""

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, number)

    def close(self) -> None:
        """Let go of process and asker."""
        os.close(self.process)
        self.asker.close()


class Nursery:
    """Forks a process for everyone who asks; in the new process, `wait` returns the environment that it was asked with.

    Args:
        listener: where askers connect.
        until: descriptor whose end is the end of all.
    """

    def __init__(self, listener: socket.socket, *, until: int) -> None:
        self._listener, self._until = listener, until
        self._selector = selectors.DefaultSelector()
        self._runs: dict[int, Run] = {}
        for place in (listener.fileno(), until):
            self._selector.register(place, selectors.EVENT_READ)

    def wait(self) -> Environment | None:
        """In a new process: its environment. In this one: nothing, at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._until:
                    self._end()
                    return None
                if key.fd == self._listener.fileno():
                    asked = self._answer()
                    if asked is not None:
                        return asked
                elif key.fd in self._runs:
                    self._look_at(key.fd)

    def _answer(self) -> Environment | None:
        """Begin a run for whoever connects; the environment in the new process."""
        asker, _ = self._listener.accept()
        asker.settimeout(REQUEST_SECONDS)
        try:
            asked: Environment = json.loads(_line(asker))
        except (OSError, ValueError):
            asker.close()  # who asks without a word, or not to the end, starts as usual
            return None
        asker.setblocking(False)
        ours = os.getpid()
        pid = os.fork()
        if not pid:
            self._forget(asker, parent=ours)
            return asked
        run = Run(os.pidfd_open(pid), pid, asker)
        for place in (run.process, asker.fileno()):
            self._runs[place] = run
            self._selector.register(place, selectors.EVENT_READ)
        with suppress(OSError):
            asker.send(b"begun\n")
        return None

    def _forget(self, asker: socket.socket, *, parent: int) -> None:
        """In a new process: close what belongs to the old one, and die with it."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it has died already
        asker.close()
        for run in set(self._runs.values()):
            run.close()
        self._selector.close()
        self._listener.close()

    def _look_at(self, place: int) -> None:
        """A run has ended, or its asker says something, or is gone."""
        run = self._runs[place]
        if place == run.process:
            self._ended(run)
            return
        try:
            told = run.asker.recv(256)
        except BlockingIOError:
            return
        except ConnectionError:
            told = b""
        for number in told.split():
            run.signal(int(number))
        if not told:
            run.signal(signal.SIGKILL)
            self._selector.unregister(place)
            del self._runs[place]

    def _ended(self, run: Run) -> None:
        """Tell the asker the exit code; minus the signal for a process that one ended."""
        _, status = os.waitpid(run.pid, 0)
        with suppress(OSError):
            run.asker.send(b"%d\n" % os.waitstatus_to_exitcode(status))
        for place in (run.process, run.asker.fileno()):
            if self._runs.pop(place, None) is not None:
                self._selector.unregister(place)
        run.close()

    def _end(self) -> None:
        """End all runs."""
        for run in set(self._runs.values()):
            run.signal(signal.SIGKILL)
            self._ended(run)


def _line(asker: socket.socket) -> bytes:
    with asker.makefile("rb") as stream:
        return stream.readline()


def begin(environment: Mapping[str, str]) -> None:
    """Carry out the run that an environment names, as a process that was started for it does."""
    os.environ.clear()
    os.environ.update(environment)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(RUN_NAME)
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    sys.argv = [ENGINE]
    sys.modules.pop(ENGINE, None)
    runpy.run_module(ENGINE, run_name="__main__", alter_sys=True)


@contextmanager
def warm() -> Iterator[None]:
    """Such a process for as long as the block lasts; runs begin as usual where the system cannot do it."""
    if not hasattr(os, "pidfd_open"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="invae-") as folder:
        place = Path(folder) / "warm"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.service.warm", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno(),
                pass_fds=[listener.fileno()],
            )
        os.environ[PLACE] = str(place)
        try:
            yield
        finally:
            del os.environ[PLACE]
            process.kill()  # its runs go with it
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Serve runs until the input closes; in a new process, be the run."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    load()
    asked = Nursery(listener, until=sys.stdin.fileno()).wait()
    if asked is not None:
        begin(asked)


if __name__ == "__main__":
    main()
