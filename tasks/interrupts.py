"""A ctrl-C that falls where the interpreter drops exceptions (an import's callback, a finaliser) still stops the run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


@contextmanager
def heard() -> Iterator[None]:
    """Remember every ctrl-C beside raising it; without effect outside the main thread or where it is ignored."""
    usual = signal.getsignal(signal.SIGINT)
    ours = usual is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def obey() -> None:
    """Stop here if somebody asked for it before.

    Raises:
        KeyboardInterrupt: a ctrl-C came and was dropped on its way.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


def _remember(_signal: int, _frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt
