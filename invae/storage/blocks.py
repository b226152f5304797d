"""Dask runs a function on the blocks of a store in parallel; inside a block there is only NumPy."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import dask
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from invae.config import ComputeConfig
from invae.progress import Progress, silent

Block = TypeVar("Block")
Answer = TypeVar("Answer")


class _Count(Callback):
    """Counts finished tasks of a local Dask computation."""

    def __init__(self, total: int, progress: Progress) -> None:
        super().__init__(posttask=self._finished)
        self.done, self.total, self.progress = 0, total, progress

    def _finished(self, *_: object) -> None:
        self.done += 1
        self.progress(min(self.done, self.total), self.total)


def map_blocks(
    function: Callable[[Block], Answer],
    blocks: Sequence[Block],
    *,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> list[Answer]:
    """The function's results for all blocks, in order; results are small, arrays go to the store.

    Peak memory is that of one block times the number of workers.
    """
    if not blocks:
        return []
    if compute.scheduler == "threads":
        jobs = [dask.delayed(function, pure=False)(block) for block in blocks]  # pyright: ignore
        # one level of parallelism: linear algebra with threads of its own inside a block is ten times slower
        with _Count(len(blocks), progress), threadpool_limits(limits=1):
            return list(dask.compute(*jobs, scheduler="threads", num_workers=compute.workers))  # pyright: ignore
    from invae.storage.dask_cluster import (
        map_on_cluster,  # imports libraries that threads do not need
    )

    return map_on_cluster(function, blocks, compute=compute, progress=progress)
