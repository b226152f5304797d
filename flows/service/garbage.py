"""Garbage collection of the server: only while no connection to its database is in use.

A cursor of SQLite that is collected resets its statement, and waits for its connection. If the thread of this connection waits for the
end of another transaction, and that one for the event loop in which the collection runs, nothing continues until SQLite gives up:
the server stood still for 60 s, again and again. Python's own collections come at any moment, so they are switched off.
"""

import gc
import time
from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.pool import Pool

YOUNG, ALL = 1, 2
"""Generations of `gc.collect`: recent objects, and all objects."""
YOUNG_EVERY, ALL_EVERY = 1.0, 30.0
"""Shortest time between two collections [s]."""
AT_LATEST = 300.0
"""Time after which garbage is collected in any case, because memory must stay bounded [s]."""


class Collector:
    """Collects garbage when the last connection is returned to its pool."""

    def __init__(
        self,
        *,
        collect: Callable[[int], object] = gc.collect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collect, self._clock = collect, clock
        self._in_use: set[int] = set()
        self._last = {YOUNG: clock(), ALL: clock()}

    def watch(self, pools: type[Pool] | Pool = Pool) -> None:
        """Follow the connections of pools."""
        event.listen(pools, "checkout", lambda _connection, record, _fairy: self.taken(record))
        event.listen(pools, "checkin", lambda _connection, record: self.returned(record))

    def taken(self, record: object) -> None:
        """Note a connection that is in use."""
        self._in_use.add(id(record))
        if self._clock() - self._last[ALL] > AT_LATEST:
            self._run(ALL)

    def returned(self, record: object) -> None:
        """Note that a connection is no longer in use, and collect garbage if it was the last one."""
        self._in_use.discard(id(record))
        if self._in_use:
            return
        now = self._clock()
        if now - self._last[ALL] >= ALL_EVERY:
            self._run(ALL)
        elif now - self._last[YOUNG] >= YOUNG_EVERY:
            self._run(YOUNG)

    def _run(self, generation: int) -> None:
        self._collect(generation)
        self._last[YOUNG] = self._clock()
        if generation == ALL:
            self._last[ALL] = self._clock()


def collect_when_idle() -> None:
    """Replace Python's automatic collections in this process."""
    gc.collect()
    gc.freeze()  # modules and settings live as long as the process
    gc.disable()
    Collector().watch()
