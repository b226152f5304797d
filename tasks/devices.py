"""What the machine is called in the records of a run, and how many threads add up numbers on it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and numpy's linear algebra add up in one thread on the processor, whatever the number of cores.

    Several threads add up in another order, so that values would depend on the machine. Batches are small, too: on two
    busy cores two threads took 228 s and one took 26 s for the same training, because they wait for each other spinning.
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


def team_size() -> int:
    """Processes that share the training (see `invae.training.distributed`)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def follows() -> bool:
    """Whether another process of the same training tells and writes."""
    return team_size() > 1 and os.environ.get("RANK", "0") != "0"


def machine() -> str:
    """Model of the processor and number of cores that this process may use."""
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _processor() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
