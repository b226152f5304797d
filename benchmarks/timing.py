"""Measurement of time; uses only the standard library and NumPy, because peers are timed with it in their own environments."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Work = Callable[[], object]
SIDE = 1024
"""Rows and columns of the matrices that are multiplied."""


def median_seconds(
    work: Work, *, repeats: int = 3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of some work by a clock: wall time, or `time.process_time` [s]."""
    seconds = []
    for _ in range(repeats):
        began = clock()
        work()
        seconds.append(clock() - began)
    return statistics.median(seconds)


@dataclass(frozen=True)
class Times:
    """Times of one piece of work in every turn [s]."""

    wall: list[float]
    cpu: list[float]
    """Processor time of all threads."""


def in_turns(
    works: Mapping[str, Work], *, turns: int, cpu: Callable[[], float] = time.process_time
) -> dict[str, Times]:
    """Times of several pieces of work, one after the other in every turn, after a warm-up turn.

    Other load slows all pieces of work of a turn, so that ratios within a turn are steadier than times. On a busy machine only
    ratios of processor time are meaningful.
    """
    times = {name: Times([], []) for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            began = time.perf_counter(), cpu()
            work()
            ended = time.perf_counter(), cpu()
            if turn:
                times[name].wall.append(ended[0] - began[0])
                times[name].cpu.append(ended[1] - began[1])
    return times


def ratio(work: list[float], reference: list[float]) -> float:
    """Speed of some work relative to that of a reference: the median over turns."""
    return statistics.median(other / own for own, other in zip(work, reference, strict=True))


def memory_copy(values: np.ndarray) -> Work:
    """A copy of an array by one thread into memory that is already allocated."""
    target = np.empty_like(values)
    return lambda: np.copyto(target, values)


def matrix_products(n_products: int, seed: int, *_: object) -> tuple[float, float]:
    """When some matrix products begin and end on the machine's clock, after one to warm up [s]; further arguments are not used."""
    matrix = np.random.default_rng(seed).random((SIDE, SIDE), np.float32)
    product = matrix @ matrix
    began = time.monotonic()
    for _number in range(n_products):
        np.matmul(matrix, matrix, out=product)
    return began, time.monotonic()
