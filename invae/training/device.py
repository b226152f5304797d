"""The device on which models run, its threads and its cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process

import torch
from threadpoolctl import threadpool_limits


def device_of(name: str) -> torch.device:
    """The device meant by `auto`, `cpu` or `cuda`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def n_cores() -> int:
    """Number of cores that this process may use; one in a process that was started as one of several."""
    if current_process().daemon:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch and numpy's linear algebra to one thread on the processor; also a decorator.

    Several threads sum in another order, so values would depend on the number of cores. One thread is also faster on small
    batches: on two busy cores the same training took 228 s with two threads, which spin while they wait for each other, and
    26 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
