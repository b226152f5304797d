"""How long some work takes; of the standard library and NumPy, since peers are timed by it in their own environments."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Work = Callable[[], object]


def median_seconds(
    work: Work, *, repeats: int = 3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of some work by a clock: wall time, or `time.process_time` [s]."""
    taken = []
    for _ in range(repeats):
        began = clock()
        work()
        taken.append(clock() - began)
    return statistics.median(taken)


@dataclass(frozen=True)
class Times:
    """Of one work, turn by turn [s]."""

    wall: list[float]
    cpu: list[float]
    """Of all threads."""


def in_turns(
    works: Mapping[str, Work], *, turns: int, cpu: Callable[[], float] = time.process_time
) -> dict[str, Times]:
    """Times of several works, one after the other, turn by turn, after a first turn that warms up.

    What else the machine does slows all works of a turn, so ratios within a turn are steadier than times. Of a busy machine
    only ratios of processor time say something.
    """
    taken = {name: Times([], []) for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            began = time.perf_counter(), cpu()
            work()
            ended = time.perf_counter(), cpu()
            if turn:
                taken[name].wall.append(ended[0] - began[0])
                taken[name].cpu.append(ended[1] - began[1])
    return taken


def ratio(work: list[float], beside: list[float]) -> float:
    """How fast some work is in units of another's speed: the median over turns."""
    return statistics.median(other / own for own, other in zip(work, beside, strict=True))


def memory_copy(values: np.ndarray) -> Work:
    """A copy of an array, by one thread, into memory that is there already."""
    target = np.empty_like(values)
    return lambda: np.copyto(target, values)
