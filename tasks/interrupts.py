"""A ctrl-C that falls where the interpreter drops exceptions (an import's callback, a finaliser) still stops the run."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

_asked = threading.Event()


@contextmanager
def heard() -> Iterator[None]:
    """Remember every ctrl-C beside raising it; without effect outside the main thread or where it is ignored.

    Raises:
        KeyboardInterrupt: in place of whatever a ctrl-C became on its way through other code.
    """
    usual = signal.getsignal(signal.SIGINT)
    ours = usual is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    signal.signal(signal.SIGINT, remember)
    told = sys.unraisablehook
    sys.unraisablehook = partial(_without_ctrl_c, told)
    try:
        with undisguised():
            yield
    finally:
        sys.unraisablehook = told
        signal.signal(signal.SIGINT, usual)
        # A ctrl-C in a string being executed (every dataclass is one) makes `python -m` end by the
        # signal, whatever the exit code; executing another string makes it forget.
        exec("")


@contextmanager
def undisguised() -> Iterator[None]:
    """Let what was asked for come out as what it was.

    Raises:
        KeyboardInterrupt: in place of whatever a ctrl-C became on its way through other code.
    """
    try:
        yield
    except Exception as error:
        # a ctrl-C in `__set_name__` is a RuntimeError afterwards, in an import an ImportError
        if _asked.is_set():
            raise KeyboardInterrupt from error
        raise


def obey() -> None:
    """Stop here if somebody asked for it before.

    Raises:
        KeyboardInterrupt: a ctrl-C came and was dropped on its way.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


def _without_ctrl_c(
    told: Callable[["sys.UnraisableHookArgs"], object], dropped: "sys.UnraisableHookArgs"
) -> None:
    """Tell of exceptions that nobody can catch, except a ctrl-C, which has been remembered."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        told(dropped)


def remember(_signal: int, _frame: FrameType | None) -> None:
    """What a signal calls that asks to stop."""
    _asked.set()
    raise KeyboardInterrupt
