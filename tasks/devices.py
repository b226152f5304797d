"""Processor and processes of a run."""

import os

from invae.storage.machine import processor


def n_processes() -> int:
    """Number of processes that share a training (see `invae.training.distributed`)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Whether another process of the same training reports progress and writes files."""
    return n_processes() > 1 and os.environ.get("RANK", "0") != "0"


def machine() -> str:
    """Model of the processor, and number of cores available to this process."""
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores"
