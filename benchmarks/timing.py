"""How long some work takes."""

import statistics
import time
from collections.abc import Callable


def median_seconds(
    work: Callable[[], object],
    *,
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median time of some work by a clock: wall time, or `time.process_time` [s]."""
    taken = []
    for _ in range(repeats):
        began = clock()
        work()
        taken.append(clock() - began)
    return statistics.median(taken)
