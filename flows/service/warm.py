"""The warm process: it has imported everything, and every run on this machine is a fork of it.

`python -m flows.service.warm DESCRIPTOR` listens on a socket that only this user can reach. It ends when its input closes,
together with all its runs. `flows.service.launch` requests a run, and starts a normal process if nothing answers.

Reason, in CPU time of one run: a new process imports for 3.0 s before its first stage and for 6.8 s in all stages (1.4 s Prefect's
engine, 1.8 s torch); a fork and its launcher cost 0.5 s. Measured with Prefect 3.8 and torch 2.13 on two busy cores.
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

from flows.service.launch import ENGINE, SOCKET

EVERYTHING = (
    "prefect.flow_engine",
    "flows.process",
    "flows.watch",
    "flows.day",
    "invae.readers.ingest",
    "invae.descriptors.describe",
    "invae.report",
)
RUN_NAME = "invae run"
"""Name of the process of a run."""
REQUEST_SECONDS = 10.0
PR_SET_PDEATHSIG = 1

Environment = dict[str, str]


def load() -> None:
    """Import what runs need, and fix the code digests now, so that later changes of files do not count."""
    from invae.config.kinds import KINDS
    from invae.config.model_kinds import MODEL_KINDS
    from invae.readers.registry import ROWS
    from invae.stages import stages
    from invae.storage.code_digest import code_digest

    readers = {row.partition(":")[0] for row in ROWS}
    of_kinds = {m for kind in KINDS.values() for name in stages.STAGES for m in kind.modules(name)}
    of_models = {s.module_for(row) for s in stages.STAGES.values() for row in MODEL_KINDS.values()}
    for name in (*EVERYTHING, *sorted(readers | of_kinds | of_models)):
        import_module(name)
    for stage in stages.STAGES.values():
        stages.code_of(stage)
    code_digest(*sorted(readers))
    gc.collect()
    gc.freeze()  # garbage collections of the runs do not write to shared memory


@dataclass(frozen=True)
class Run:
    """The process of a run, and the connection to its launcher."""

    process: int
    """Descriptor that becomes readable when the process ends."""
    pid: int
    launcher: socket.socket
    """Receives signals for the run; if the launcher dies, it closes and the run is ended."""

    def signal(self, number: int) -> None:
        """Send a signal to the process; no effect if it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, number)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.process)
        self.launcher.close()


class ForkServer:
    """Forks a process for every request; in the new process, `wait` returns the requested environment.

    Args:
        listener: socket for launchers.
        until: descriptor at whose end all runs end.
    """

    def __init__(self, listener: socket.socket, *, until: int) -> None:
        self._listener, self._until = listener, until
        self._selector = selectors.DefaultSelector()
        self._runs: dict[int, Run] = {}
        for descriptor in (listener.fileno(), until):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def wait(self) -> Environment | None:
        """In a new process: its environment. In the server process: None, at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._until:
                    self._end()
                    return None
                if key.fd == self._listener.fileno():
                    environment = self._fork()
                    if environment is not None:
                        return environment
                elif key.fd in self._runs:
                    self._handle(key.fd)

    def _fork(self) -> Environment | None:
        """Accept a request and fork; returns the environment in the new process."""
        launcher, _ = self._listener.accept()
        launcher.settimeout(REQUEST_SECONDS)
        try:
            environment: Environment = json.loads(_line(launcher))
        except (OSError, ValueError):
            launcher.close()  # after an incomplete request, the launcher starts a normal process
            return None
        launcher.setblocking(False)
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            self._detach(launcher, parent=parent)
            return environment
        run = Run(os.pidfd_open(pid), pid, launcher)
        for descriptor in (run.process, launcher.fileno()):
            self._runs[descriptor] = run
            self._selector.register(descriptor, selectors.EVENT_READ)
        with suppress(OSError):
            launcher.send(b"begun\n")
        return None

    def _detach(self, launcher: socket.socket, *, parent: int) -> None:
        """In a new process: close the descriptors of the server process, and end when it ends."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it has already ended
        launcher.close()
        for run in set(self._runs.values()):
            run.close()
        self._selector.close()
        self._listener.close()

    def _handle(self, descriptor: int) -> None:
        """Handle the end of a run, a signal from its launcher, or the end of the launcher."""
        run = self._runs[descriptor]
        if descriptor == run.process:
            self._finish(run)
            return
        try:
            numbers = run.launcher.recv(256)
        except BlockingIOError:
            return
        except ConnectionError:
            numbers = b""
        for number in numbers.split():
            run.signal(int(number))
        if not numbers:
            run.signal(signal.SIGKILL)
            self._selector.unregister(descriptor)
            del self._runs[descriptor]

    def _finish(self, run: Run) -> None:
        """Send the exit code to the launcher: minus the signal if one ended the run."""
        _, status = os.waitpid(run.pid, 0)
        with suppress(OSError):
            run.launcher.send(b"%d\n" % os.waitstatus_to_exitcode(status))
        for descriptor in (run.process, run.launcher.fileno()):
            if self._runs.pop(descriptor, None) is not None:
                self._selector.unregister(descriptor)
        run.close()

    def _end(self) -> None:
        """End all runs."""
        for run in set(self._runs.values()):
            run.signal(signal.SIGKILL)
            self._finish(run)


def _line(launcher: socket.socket) -> bytes:
    with launcher.makefile("rb") as stream:
        return stream.readline()


def execute(environment: Mapping[str, str]) -> None:
    """Execute the run named in an environment, as a new process would."""
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
def warm_process() -> Iterator[None]:
    """A warm process for the time of the block; on systems without pidfd, runs start as normal processes."""
    if not hasattr(os, "pidfd_open"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="invae-") as folder:
        path = Path(folder) / "warm"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.service.warm", str(listener.fileno())],
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno(),
                pass_fds=[listener.fileno()],
            )
        os.environ[SOCKET] = str(path)
        try:
            yield
        finally:
            del os.environ[SOCKET]
            process.kill()  # its runs end with it
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Serve requests until the input closes; in a forked process, execute the run."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    load()
    environment = ForkServer(listener, until=sys.stdin.fileno()).wait()
    if environment is not None:
        execute(environment)


if __name__ == "__main__":
    main()
