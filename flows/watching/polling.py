"""Scans, one after the other: the single one of a schedule, and those of a process that keeps its eye on the folder."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prefect.logging import get_run_logger

from flows.watching import ledger
from flows.watching.watcher import Look, Watcher
from invae.config import WatchConfig
from invae.errors import InvaeError
from tasks.artifacts import UNREACHABLE

GLANCE_SECONDS = 1.0
"""Between two glances at the folder; longer if a glance takes long."""
GLANCE_SHARE = 0.05
"""Of the time that glances may take."""
FOLLOW_SECONDS = 3.0
"""Between two scans while runs are under way."""
TROUBLE_SECONDS = 10.0
"""After a scan that failed."""


def scan_until_settled(config: WatchConfig) -> str:
    """The ledger after a scan; what arrived just now is waited for until it has settled."""
    watcher, say = Watcher(config), get_run_logger().info
    look = watcher.scan(say)
    if look and look.settled_in is not None and look.settled_in <= config.settle:
        time.sleep(look.settled_in)
        watcher.scan(say)
    return str(ledger.place(Path(config.out)))


class Follower:
    """Scans as soon as there is reason to: the folder looks different, a recording has settled, a run is under way.

    It only makes things faster; what it misses, the scan of the schedule finds.
    """

    def __init__(self, watcher: Watcher, say: Callable[[str], None]) -> None:
        self._watcher, self._say = watcher, say
        self._look: Look | None = None
        self._seen, self._trouble = -1, ""
        self._next_glance = self._next_scan = 0.0

    def step(self) -> None:
        """Glance at the folder, and scan if there is reason to."""
        instant = time.monotonic()
        if self._watcher.config.glances and instant >= self._next_glance:
            seen = glance(self._watcher.config)
            took = time.monotonic() - instant
            self._next_glance = instant + max(GLANCE_SECONDS, took / GLANCE_SHARE)
            if seen != self._seen and not self._trouble:
                self._next_scan = instant
            self._seen = seen
        if instant >= self._next_scan:
            self._next_scan = time.monotonic() + self._scan()

    @property
    def is_through(self) -> bool:
        """Whether nothing settles, waits or runs any more."""
        look = self._look
        return look is not None and look.settled_in is None and not look.under_way

    def _scan(self) -> float:
        """Scan; how long to wait for the next one [s]."""
        try:
            self._look = self._watcher.scan(self._say) or self._look
        except (InvaeError, OSError, *UNREACHABLE) as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                self._say(f"cannot watch just now: {error}; trying again")
            return TROUBLE_SECONDS
        if self._trouble:
            self._say("watching again")
        self._trouble = ""
        waits = [self._watcher.config.interval]
        if self._look and self._look.under_way:
            waits.append(FOLLOW_SECONDS)
        if self._look and self._look.settled_in is not None:
            waits.append(self._look.settled_in + 0.05)
        return min(waits)


def glance(config: WatchConfig) -> int:
    """A number that changes with names, sizes and times of what lies in the folder, and with what was asked for."""
    out, seen = Path(config.out).resolve(), []
    for place, folders, files in os.walk(config.folder):
        folders[:] = [name for name in folders if Path(place, name).resolve() != out]
        for name in files:
            with suppress(OSError):
                state = os.lstat(os.path.join(place, name))
                seen.append((place, name, state.st_size, state.st_mtime_ns, state.st_mode))
    with suppress(FileNotFoundError):
        seen.append(("", "", ledger.place(out).stat().st_size, 0, 0))
    return hash(tuple(seen))
