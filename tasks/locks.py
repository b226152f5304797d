"""Locks between processes of one machine: the kernel releases them when their holder dies, however it dies."""

from collections.abc import Callable
from pathlib import Path

from filelock import BaseFileLock, FileLock

SECONDS_BETWEEN_TRIES = 0.01


def kernel_lock(
    path: Path, *, waits: bool, on_acquired: Callable[[int], None] | None = None
) -> BaseFileLock:
    """A lock on a file, to be entered with `with`; it raises `filelock.Timeout` if another has it and it does not wait.

    Args:
        path: the file, made if need be; it stays.
        waits: whether to wait for another holder.
        on_acquired: called with the file's descriptor as soon as the lock is held.

    Raises:
        OSError: if the file cannot be made, or its file system has no locks: a file that stands for a lock would outlive
            a killed holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(
        path,
        blocking=waits,
        thread_local=False,
        poll_interval=SECONDS_BETWEEN_TRIES,
        fallback_to_soft=False,
        on_acquired=on_acquired,
    )
