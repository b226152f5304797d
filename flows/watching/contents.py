"""The contents of settled recordings, read by threads beside the scan: a large one keeps no other from its turn."""

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from flows.watching import fingerprint
from flows.watching.grouping import Arrival
from flows.watching.ledger import FOLDER
from tasks.locks import kernel_lock

LARGE_BYTES = 1 << 30
"""Recordings from this size on have threads of their own, and are read by one watcher only [bytes]."""
THREADS = 2
"""Threads for large recordings, and as many for the others."""
SECONDS = 2.0
"""Time that a scan waits for contents [s]; a later scan takes those that need longer."""


@dataclass(frozen=True)
class Content:
    """What was read of one recording."""

    digest: str
    """SHA-256 of the content of all its files."""
    before: str
    """Fingerprint of its files when reading was requested."""
    after: str
    """Fingerprint of its files when they had been read."""


@dataclass(frozen=True)
class _Reading:
    """A recording that is or was being read."""

    arrival: Arrival
    mark: str
    is_large: bool
    content: "Future[Content | None]" = field(default_factory=Future)


@dataclass
class _Lane:
    """Recordings that wait for one kind of threads."""

    waiting: deque[_Reading] = field(default_factory=deque)
    n_threads: int = 0


class Contents:
    """Contents that are being read, or were read and are not used yet.

    The threads end with the process, however long a file is: nothing of them is stored.

    Args:
        out: output folder of the watcher.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / FOLDER
        self._readings: dict[str, _Reading] = {}
        self._lanes = {False: _Lane(), True: _Lane()}
        self._lock = threading.Lock()

    def request(self, arrival: Arrival, *, mark: str, n_bytes: int) -> None:
        """Start to read a recording, unless that is done or under way.

        Args:
            arrival: its files.
            mark: their fingerprint.
            n_bytes: their size [bytes].
        """
        known = self._readings.get(arrival.key)
        if known is not None and (known.mark == mark or not known.content.done()):
            return
        reading = _Reading(arrival, mark, is_large=n_bytes >= LARGE_BYTES)
        self._readings[arrival.key] = reading
        lane = self._lanes[reading.is_large]
        with self._lock:
            lane.waiting.append(reading)
            if lane.n_threads < THREADS:
                lane.n_threads += 1
                threading.Thread(target=self._work_off, args=(lane,), daemon=True).start()

    def finished(self) -> Iterator[str]:
        """Keys of the recordings that have been read; waits a short time for those that are not large."""
        keys = {
            reading.content: key
            for key, reading in self._readings.items()
            if reading.content.done() or not reading.is_large
        }
        with suppress(TimeoutError):
            for future in as_completed(keys, timeout=SECONDS):
                yield keys[future]

    def content(self, key: str) -> Content | None:
        """The content of a recording that has been read; None if another watcher reads it.

        Raises:
            FileNotFoundError: if a file is missing.
            InputError: if a file cannot be read.
        """
        return self._readings[key].content.result(timeout=0)

    def forget(self, key: str) -> None:
        """Remove a content that was used, or is out of date."""
        self._readings.pop(key, None)

    @property
    def has_finished(self) -> bool:
        """Whether a content has been read that no scan has used."""
        return any(reading.content.done() for reading in self._readings.values())

    def wait(self, seconds: float) -> bool:
        """Wait until one more content has been read; returns whether any is or was being read."""
        futures = [reading.content for reading in self._readings.values()]
        wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)
        return bool(futures)

    def _work_off(self, lane: _Lane) -> None:
        while True:
            with self._lock:
                if not lane.waiting:
                    lane.n_threads -= 1
                    return
                reading = lane.waiting.popleft()
            self._read(reading)

    def _read(self, reading: _Reading) -> None:
        """Read one recording; whatever goes wrong is raised in the scan that takes it."""
        try:
            read = self._read_alone if reading.is_large else _content
            reading.content.set_result(read(reading.arrival, reading.mark))
        except BaseException as error:
            reading.content.set_exception(error)

    def _read_alone(self, arrival: Arrival, mark: str) -> Content | None:
        """The content of a large recording; None if another watcher reads it."""
        name = hashlib.sha256(arrival.key.encode()).hexdigest()[:16]
        lock = kernel_lock(self._folder / f"reading-{name}.lock", waits=False)
        try:
            with lock:
                content = _content(arrival, mark)
                Path(lock.lock_file).unlink(missing_ok=True)
                return content
        except Timeout:
            return None


def _content(arrival: Arrival, mark: str) -> Content:
    digest = fingerprint.content_digest(arrival.files)
    return Content(digest, mark, fingerprint.fingerprint(arrival.files))
