"""Processor, processes and threads of a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from invae.storage.machine import processor


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch and numpy's linear algebra to one thread on the processor.

    Several threads sum in another order, so values would depend on the number of cores. One thread is also faster on small
    batches: on two busy cores the same training took 228 s with two threads, which spin while they wait for each other, and
    26 s with one.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def n_processes() -> int:
    """Number of processes that share a training (see `invae.training.distributed`)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Whether another process of the same training reports progress and writes files."""
    return n_processes() > 1 and os.environ.get("RANK", "0") != "0"


def machine() -> str:
    """Model of the processor, and number of cores available to this process."""
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores"
