"""One run at a time on a recording on an object store: a lease, renewed while its holder lives."""

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
from invae.storage.json_text import parsed
from invae.storage.location import ObjectPath, put_if, read_tagged

SECONDS = 60.0
"""A lease ends this long after its last renewal, so that a killed holder on another machine does not block for ever [s]."""
SECONDS_BETWEEN = 15.0
"""Time between two renewals [s]."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lease, and when the lease ends."""

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: uuid4().hex)
    until: float = field(default_factory=lambda: time.time() + SECONDS)
    """Seconds since 1970, UTC."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def is_at_work(self) -> bool:
        """Whether the lease is valid and, if it is on this machine, its holder is alive."""
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
    """Another run is working on the same recording; a temporary state."""


def is_leased(folder: ObjectPath) -> bool:
    """Whether a run on any machine holds the lease of a recording."""
    lock = lock_of(folder)
    return lock.is_file() and Holder(**parsed(lock.read_bytes())).is_at_work()


def lock_of(folder: ObjectPath) -> ObjectPath:
    """The object that contains the lease of a recording."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def leased(folder: ObjectPath) -> Iterator[threading.Event]:
    """Hold the lease of a recording, in the object `.<name>.lock` next to it; the event is set if the lease is lost.

    Raises:
        Busy: If another run holds it.
        StoreError: If another run took the lease because this one could not renew it in time.
    """
    lease = Lease(folder)
    lease.acquire()
    renewing = threading.Thread(target=lease.renew, name=f"lease of {folder}", daemon=True)
    renewing.start()
    try:
        yield lease.lost
    finally:
        lease.ending.set()
        renewing.join()
        lease.release()
    if lease.lost.is_set():
        raise StoreError(
            f"{folder}: another run took over, because this one could not renew its lease in time"
        )


class Lease:
    """The lease of one recording."""

    def __init__(self, folder: ObjectPath) -> None:
        self.folder = folder
        self.lock = lock_of(folder)
        self.token = uuid4().hex
        self.tag: str | None = None
        self.ending = threading.Event()
        self.lost = threading.Event()

    def acquire(self) -> None:
        """Become the holder, if there is none or its lease has ended.

        Raises:
            Busy: If another run holds it.
        """
        self.tag = put_if(self.lock, self._holder(SECONDS), tag=None)
        if self.tag is not None:
            return
        content, tag = read_tagged(self.lock)
        holder = Holder(**parsed(content))
        if not holder.is_at_work():
            self.tag = put_if(self.lock, self._holder(SECONDS), tag=tag)
        if self.tag is None:
            raise Busy(
                f"{self.folder} is being worked on by process {holder.process} on {holder.host}; "
                "wait for it, or give another --out or --name"
            )

    def renew(self) -> None:
        """Renew the lease until `ending` is set, or until another run holds it."""
        while not self.ending.wait(SECONDS_BETWEEN):
            try:
                tag = put_if(self.lock, self._holder(SECONDS), tag=self.tag)
            except ConnectionError:
                continue  # the next renewal may still be in time
            if tag is None:
                self.lost.set()
                return
            self.tag = tag

    def release(self) -> None:
        """End the lease now; the object stays, as a lock file does."""
        if not self.lost.is_set():
            put_if(self.lock, self._holder(0.0), tag=self.tag)

    def _holder(self, seconds: float) -> bytes:
        return Holder(token=self.token, until=time.time() + seconds).to_json()
