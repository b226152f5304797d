"""`python -m flows.service.launch`: start a Prefect run in a new process, forked from the warm process if there is one.

The launcher represents the run: it forwards signals, exits with the exit code of the run, and the run ends if it is killed.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

SOCKET = "INVAE_WARM"
"""Environment variable with the path of the warm process's socket."""
ENGINE = "prefect.engine"
"""The module that executes the run named in the environment."""

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Signals that are forwarded to the run; they are blocked until it has started."""


def launch() -> int | None:
    """Exit code of the run, or minus the signal that ended it; None if no warm process answers."""
    with socket.socket(socket.AF_UNIX) as warm, warm.makefile("rb") as replies:
        try:
            warm.connect(os.environ[SOCKET])
            environment = {k: v for k, v in os.environ.items() if k != SOCKET}
            warm.sendall(json.dumps(environment).encode() + b"\n")
            if not replies.readline():
                return None
        except (KeyError, OSError):
            return None

        def forward(number: int, _frame: FrameType | None) -> None:
            with suppress(OSError):
                warm.sendall(b"%d\n" % number)

        for number in STOPPING:
            signal.signal(number, forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        try:
            code = replies.readline()
        except ConnectionError:
            return 1
        return int(code) if code else 1


def main() -> None:
    """Exit like the run."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    code = launch()
    if code is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.execv(sys.executable, [sys.executable, "-m", ENGINE])
    if code < 0:
        with suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
