"""When to scan: once for a schedule, or again and again in a command that watches the folder."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prefect.logging import get_run_logger

from flows.watching import ledger
from flows.watching.watcher import Scan, Watcher
from invae.config import WatchConfig
from invae.errors import InvaeError
from tasks.artifacts import UNREACHABLE

# Not events of the kernel (watchfiles): network folders, where instruments write, deliver none, and there watchfiles polls
# as well, at 7 % of a core for 10 000 files and 20 % for 100 000. A glance takes 41 ms and 406 ms of CPU for these, and
# never more than 5 % of a core. With events a recording would be seen up to 1 s earlier, and then settles for 5 s.
GLANCE_SECONDS = 1.0
"""Time between two glances at the folder; longer if a glance takes long."""
GLANCE_SHARE = 0.05
"""Largest share of the time that glances take."""
FOLLOW_SECONDS = 3.0
"""Time between two scans while runs are active."""
TROUBLE_SECONDS = 10.0
"""Wait after a scan that failed."""


def scan_until_settled(config: WatchConfig) -> str:
    """Scan, and once more when the newest recordings have settled; returns the path of the ledger."""
    watcher, say = Watcher(config), get_run_logger().info
    scan = watcher.scan(say)
    if scan and scan.settled_in is not None and scan.settled_in <= config.settle:
        time.sleep(scan.settled_in)
        watcher.scan(say)
    scan_until_read(watcher, say)
    return str(ledger.path_of(Path(config.out)))


def scan_until_read(watcher: Watcher, say: Callable[[str], None]) -> None:
    """Scan from time to time until everything that has settled is read."""
    while watcher.contents.wait(watcher.config.interval):
        watcher.scan(say)


class Follower:
    """Scans when the folder has changed, a recording has settled, or runs are active.

    It only saves time: the scheduled scan finds whatever a glance misses.
    """

    def __init__(self, watcher: Watcher, say: Callable[[str], None]) -> None:
        self._watcher, self._say = watcher, say
        self._last_scan: Scan | None = None
        self._last_glance, self._trouble = -1, ""
        self._next_glance = self._next_scan = 0.0

    def step(self) -> None:
        """Glance at the folder, and scan if a scan is due."""
        now = time.monotonic()
        if self._watcher.config.glances and now >= self._next_glance:
            seen = glance(self._watcher.config)
            took = time.monotonic() - now
            self._next_glance = now + max(GLANCE_SECONDS, took / GLANCE_SHARE)
            if seen != self._last_glance and not self._trouble:
                self._next_scan = now
            self._last_glance = seen
        has_content = self._watcher.contents.has_finished and not self._trouble
        if has_content or now >= self._next_scan:
            self._next_scan = time.monotonic() + self._scan()

    @property
    def is_idle(self) -> bool:
        """Whether no recording settles, waits or runs."""
        scan = self._last_scan
        if scan is None or scan.settled_in is not None:
            return False
        return not (scan.is_reading or scan.has_active_runs)

    def _scan(self) -> float:
        """Scan; returns the time until the next scan [s]."""
        try:
            self._last_scan = self._watcher.scan(self._say) or self._last_scan
        except (InvaeError, OSError, *UNREACHABLE) as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                self._say(f"cannot watch: {error}; trying again")
            return TROUBLE_SECONDS
        if self._trouble:
            self._say("watching again")
        self._trouble = ""
        waits = [self._watcher.config.interval]
        if self._last_scan and (self._last_scan.has_active_runs or self._last_scan.is_reading):
            waits.append(FOLLOW_SECONDS)
        if self._last_scan and self._last_scan.settled_in is not None:
            waits.append(self._last_scan.settled_in + 0.05)
        return min(waits)


def glance(config: WatchConfig) -> int:
    """A number that changes with the names, sizes and times of the files in the folder, and with the ledger."""
    out, seen = Path(config.out).resolve(), []
    for parent, folders, files in os.walk(config.folder):
        folders[:] = [name for name in folders if Path(parent, name).resolve() != out]
        for name in files:
            with suppress(OSError):
                state = os.lstat(os.path.join(parent, name))
                seen.append((parent, name, state.st_size, state.st_mtime_ns, state.st_mode))
    with suppress(FileNotFoundError):
        seen.append(("", "", ledger.path_of(out).stat().st_size, 0, 0))
    return hash(tuple(seen))
