"""One run at a time on a recording that lies on an object store: a lease, renewed as long as its holder lives."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from uuid import uuid4

from invae.errors import MachineError, StoreError
from invae.storage.location import ObjectPath, put_if, read_tagged

SECONDS = 60.0
"""So long a lease lasts without being renewed: a holder that was killed elsewhere blocks no longer [s]."""
SECONDS_BETWEEN = 15.0
"""Between two renewals [s]."""


@dataclass(frozen=True)
class Holder:
    """Who has a lease, and until when."""

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid4().hex)
    until: float = field(default_factory=lambda: time.time() + SECONDS)
    """Seconds since 1970, UTC."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def is_at_work(self) -> bool:
        """Whether the lease is valid and, where that can be seen from here, its holder alive."""
        if self.until <= time.time():
            return False
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class Busy(StoreError, MachineError):
    """Another run is at work on the same recording; it passes."""


def is_leased(folder: ObjectPath) -> bool:
    """Whether a run, on whatever machine, has the lease of a recording's place."""
    lock = lock_of(folder)
    return lock.is_file() and Holder(**json.loads(lock.read_bytes())).is_at_work()


def lock_of(folder: ObjectPath) -> ObjectPath:
    """The object in which the lease of a place stands."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def leased(folder: ObjectPath) -> Iterator[threading.Event]:
    """Hold the lease of a recording's place, in the object `.<name>.lock` beside it; the event tells that it was lost.

    Raises:
        Busy: If another run has it.
        StoreError: If another run got it on the way because this one could not renew it in time.
    """
    lease = Lease(folder)
    lease.take()
    renewing = threading.Thread(target=lease.keep, name=f"lease of {folder}", daemon=True)
    renewing.start()
    try:
        yield lease.lost
    finally:
        lease.ending.set()
        renewing.join()
        lease.give_back()
    if lease.lost.is_set():
        raise StoreError(f"{folder}: another run took it over, this one was silent for too long")


class Lease:
    """The lease of one place."""

    def __init__(self, folder: ObjectPath) -> None:
        self.folder = folder
        self.lock = lock_of(folder)
        self.token = uuid4().hex
        self.tag: str | None = None
        self.ending = threading.Event()
        self.lost = threading.Event()

    def take(self) -> None:
        """Write our name, where there is none or one that does not count any more.

        Raises:
            Busy: If another run has it.
        """
        self.tag = put_if(self.lock, self._mine(SECONDS), tag=None)
        if self.tag is not None:
            return
        content, tag = read_tagged(self.lock)
        holder = Holder(**json.loads(content))
        if not holder.is_at_work():
            self.tag = put_if(self.lock, self._mine(SECONDS), tag=tag)
        if self.tag is None:
            raise Busy(
                f"{self.folder} is being worked on by process {holder.process} on {holder.host}; "
                "wait for it, or give another --out or --name"
            )

    def keep(self) -> None:
        """Renew the lease until told to end, or until another has it."""
        while not self.ending.wait(SECONDS_BETWEEN):
            try:
                tag = put_if(self.lock, self._mine(SECONDS), tag=self.tag)
            except ConnectionError:
                continue  # the next renewal may still come in time
            if tag is None:
                self.lost.set()
                return
            self.tag = tag

    def give_back(self) -> None:
        """Let the lease end now; the object stays, as a lock file does."""
        if not self.lost.is_set():
            put_if(self.lock, self._mine(0.0), tag=self.tag)

    def _mine(self, seconds: float) -> bytes:
        return Holder(token=self.token, until=time.time() + seconds).to_json()
