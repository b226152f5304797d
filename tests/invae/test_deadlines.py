"""A call that never returns costs its time limit and no more."""

import threading
import time
from contextvars import ContextVar

import pytest

from invae.deadlines import within

WORD: ContextVar[str] = ContextVar("WORD", default="")


def test_an_answer_in_time_is_returned_and_an_error_raised():
    assert within(60, lambda: 3) == 3
    with pytest.raises(KeyError, match="missing"):
        within(60, lambda: {}["missing"])


def test_a_call_that_never_returns_ends_at_its_limit():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.1, lambda: threading.Event().wait(60))
    assert time.monotonic() - began < 10


def test_the_call_sees_the_context_of_its_caller():
    token = WORD.set("ours")
    try:
        assert within(60, WORD.get) == "ours"
    finally:
        WORD.reset(token)
