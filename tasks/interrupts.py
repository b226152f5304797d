"""Stop a run at ctrl-C even where the interpreter drops exceptions (an import's callback, a finaliser)."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

_interrupted = threading.Event()


@contextmanager
def remembering_interrupts() -> Iterator[None]:
    """Remember every ctrl-C as well as raising it; no effect outside the main thread or where ctrl-C is ignored.

    Raises:
        KeyboardInterrupt: in place of an exception that other code made of a ctrl-C.
    """
    usual = signal.getsignal(signal.SIGINT)
    ours = usual is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    _interrupted.clear()
    signal.signal(signal.SIGINT, on_interrupt)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_without_ctrl_c, hook)
    try:
        with restoring_interrupts():
            yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, usual)
        # After a ctrl-C in a string being executed (every dataclass is one), `python -m` ends by the
        # signal whatever the exit code; executing another string resets that.
        exec("")


@contextmanager
def restoring_interrupts() -> Iterator[None]:
    """Raise a remembered ctrl-C instead of the exception that other code made of it.

    Raises:
        KeyboardInterrupt: in place of such an exception.
    """
    try:
        yield
    except Exception as error:
        # a ctrl-C in `__set_name__` is a RuntimeError afterwards, in an import an ImportError
        if _interrupted.is_set():
            raise KeyboardInterrupt from error
        raise


def raise_if_interrupted() -> None:
    """Stop here if a ctrl-C was dropped before.

    Raises:
        KeyboardInterrupt: if it was.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _without_ctrl_c(
    hook: Callable[["sys.UnraisableHookArgs"], object], dropped: "sys.UnraisableHookArgs"
) -> None:
    """Report exceptions that nothing can catch, except a ctrl-C, which is remembered."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        hook(dropped)


def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handler of a signal that stops the run."""
    _interrupted.set()
    raise KeyboardInterrupt
