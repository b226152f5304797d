"""The progress of a training as a bar, in terminals and notebooks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from invae.progress import Progress


@contextmanager
def progress_bar(progress: Progress | None, *, verbose: int, unit: str) -> Iterator[Progress]:
    """The given progress; without one a bar on standard error, if a person sees it.

    Args:
        progress: Called in place of the bar.
        verbose: 0 shows no bar.
        unit: What is counted.
    """
    if progress is not None:
        yield progress
        return
    is_seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    with tqdm(disable=not (verbose and is_seen), unit=unit) as bar:

        def show(done: int, total: int, /) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
