"""Time limits for calls that may never return: a server that is stopped, or that answers a byte at a time."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """The answer of a call; a call that takes longer is left to a thread that ends with the process.

    Args:
        seconds: time limit [s].
        call: the call; whatever it raises is raised here.

    Raises:
        TimeoutError: if it has no answer in time.
    """
    future: Future[Answer] = Future()
    context = contextvars.copy_context()

    def answer() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=answer, daemon=True).start()
    return future.result(seconds)
