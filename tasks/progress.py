"""Who is told how far a run is: a terminal if there is one, and the artifacts of the Prefect UI."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Audience(Protocol):
    """Follows the stages of a run; it may draw, log or say nothing, but changes no value."""

    def begin(self, stage: str) -> None:
        """A stage starts to work."""
        ...

    def move(self, stage: str, done: int, total: int, note: str) -> None:
        """`done` of `total` pieces are finished; `note` is a few words, such as the held-out ELBO."""
        ...

    def end(self, stage: str, seconds: float | None) -> None:
        """A stage is finished after so many seconds, or was there already (no seconds)."""
        ...


class Nobody:
    """An audience that does not listen."""

    def begin(self, stage: str) -> None: ...

    def move(self, stage: str, done: int, total: int, note: str) -> None: ...

    def end(self, stage: str, seconds: float | None) -> None: ...


_audience: ContextVar[Audience] = ContextVar("audience", default=Nobody())  # noqa: B039 (stateless)


def audience() -> Audience:
    """Whoever listens to this run."""
    return _audience.get()


@contextmanager
def told(listener: Audience) -> Iterator[None]:
    """Tell `listener` about the runs inside."""
    token = _audience.set(listener)
    try:
        yield
    finally:
        _audience.reset(token)


class OfRecording:
    """Tells another audience which recording a stage belongs to, where there are several."""

    def __init__(self, recording: str, listener: Audience) -> None:
        self._recording, self._listener = recording, listener

    def begin(self, stage: str) -> None:
        self._listener.begin(f"{self._recording}, {stage}")

    def move(self, stage: str, done: int, total: int, note: str) -> None:
        self._listener.move(f"{self._recording}, {stage}", done, total, note)

    def end(self, stage: str, seconds: float | None) -> None:
        self._listener.end(f"{self._recording}, {stage}", seconds)


@contextmanager
def of_recording(name: str) -> Iterator[None]:
    """Everything told inside is of one recording among several."""
    with told(OfRecording(name, audience())):
        yield


class Pace:
    """Rate of a piece of work and the time that it still needs, counted from its first report.

    What was there before a run was resumed, and what it took to get going, are in neither.
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
    """How fast a stage goes through its sources, counted from its first report, as `Pace` does."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._first: tuple[int, float] | None = None

    def describe(self, done: int, total: int) -> str:
        """`412 MB/s, 3 min left`; nothing before there is a rate."""
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
