"""`python -m flows.service.launch`: a run of the Prefect server in a process of its own, forked from the warm one if there is one.

Stands for the run towards whoever started it: hands on signals, ends as the run ends, and takes it along when it is killed.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

PLACE = "INVAE_WARM"
"""Variable of the environment that tells where the warm process listens."""
ENGINE = "prefect.engine"
"""The module that carries out the run which the environment names."""


STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Signals that the run is told of; they wait until there is one."""


def launch() -> int | None:
    """The exit code of the run, minus the signal if one ended it; nothing if no warm process answers."""
    with socket.socket(socket.AF_UNIX) as warm, warm.makefile("rb") as said:
        try:
            warm.connect(os.environ[PLACE])
            environment = {k: v for k, v in os.environ.items() if k != PLACE}
            warm.sendall(json.dumps(environment).encode() + b"\n")
            if not said.readline():
                return None
        except (KeyError, OSError):
            return None

        def hand_on(number: int, _frame: FrameType | None) -> None:
            with suppress(OSError):
                warm.sendall(b"%d\n" % number)

        for number in STOPPING:
            signal.signal(number, hand_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        try:
            code = said.readline()
        except ConnectionError:
            return 1
        return int(code) if code else 1


def main() -> None:
    """End as the run ends."""
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
