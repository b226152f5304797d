"""Progress of a run: reported to a terminal if there is one, and to the artifacts of the Prefect UI."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class ProgressListener(Protocol):
    """Receives the progress of a run's stages; it may draw, log or ignore it, but changes no value."""

    def begin(self, stage: str) -> None:
        """A stage starts."""
        ...

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """`done` of `total` blocks are finished; `note` is a few words, such as the held-out ELBO."""
        ...

    def end(self, stage: str, seconds: float | None) -> None:
        """A stage ended after so many seconds; None if its output existed already."""
        ...


class NoListener:
    """Ignores all progress."""

    def begin(self, stage: str) -> None: ...

    def advance(self, stage: str, done: int, total: int, note: str) -> None: ...

    def end(self, stage: str, seconds: float | None) -> None: ...


_listener: ContextVar[ProgressListener] = ContextVar("listener", default=NoListener())  # noqa: B039 (stateless)


def listener() -> ProgressListener:
    """The listener of this run."""
    return _listener.get()


@contextmanager
def reporting_to(listener: ProgressListener) -> Iterator[None]:
    """Report the runs inside to this listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class ForRecording:
    """Puts the recording's name in front of its stages, for a run of several recordings."""

    def __init__(self, recording: str, listener: ProgressListener) -> None:
        self._recording, self._listener = recording, listener

    def begin(self, stage: str) -> None:
        self._listener.begin(f"{self._recording}, {stage}")

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        self._listener.advance(f"{self._recording}, {stage}", done, total, note)

    def end(self, stage: str, seconds: float | None) -> None:
        self._listener.end(f"{self._recording}, {stage}", seconds)


@contextmanager
def for_recording(name: str) -> Iterator[None]:
    """Report everything inside under this recording's name."""
    with reporting_to(ForRecording(name, listener())):
        yield


class Pace:
    """Rate of a stage and its remaining time, counted from its first report.

    Blocks finished before a resume and the time of starting up do not count.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def describe(self, done: int, total: int) -> str:
        """`12 of 40, 3.1/s, 9 s left`."""
        instant, words = time.monotonic(), f"{done} of {total}"
        if self._first is None:
            self._first = (done, instant)
        first, began = self._first
        if done <= first or instant <= began:
            return words
        rate = (done - first) / (instant - began)
        return f"{words}, {rate:.3g}/s, {duration((total - done) / rate)} left"


class Throughput:
    """Rate at which a stage reads its sources, counted from its first report, as in `Pace`."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._first: tuple[int, float] | None = None

    def describe(self, done: int, total: int) -> str:
        """`412 MB/s, 3 min left`; empty until a rate is known."""
        instant = time.monotonic()
        if self._first is None:
            self._first = (done, instant)
        first, began = self._first
        if done <= first or instant <= began or not self._n_bytes:
            return ""
        rate = (done - first) / (instant - began)
        megabytes = rate / total * self._n_bytes / 1e6
        return f"{megabytes:.3g} MB/s, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """`40 s`, `3 min` or `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
