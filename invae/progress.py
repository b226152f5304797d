"""Progress of long work: `progress(done, total)` is called after each piece."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called with the number of finished pieces and of all pieces, in the stage's own unit."""

    def __call__(self, done: int, total: int, /) -> None: ...


def silent(done: int, total: int, /) -> None:
    """Report nothing."""
