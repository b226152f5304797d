"""Six virtual detectors and the centre of mass by LiberTEM; run by the interpreter of LiberTEM's own environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libertem.api as lt
import numpy as np
import psutil

from benchmarks.peers.scans import Request, answer, distances
from benchmarks.timing import Work


@contextmanager
def works(request: Request) -> Iterator[dict[str, Work]]:
    """The timed work, by name; the workers end with it."""
    with lt.Context.make_with("dask", cpus=request["workers"], gpus=0) as context:
        yield _analyses(context, request)


def _analyses(context: Any, request: Request) -> dict[str, Work]:
    rows, columns, *pattern = request["shape"]
    dataset = context.load(
        "npy",
        path=request["file"],
        nav_shape=(rows, columns),
        sig_shape=tuple(pattern),
    )
    y, x, distance = distances(request)
    bands = [(distance >= inner) & (distance < outer) for inner, outer in request["bands"]]
    weights = [np.ones_like(distance), *bands, y, x]
    masks = [lambda w=w: w.astype(np.float32) for w in weights]
    six = context.create_mask_analysis(dataset=dataset, factories=masks, use_sparse=False)
    centre_y, centre_x = request["centre"]
    centre = context.create_com_analysis(dataset=dataset, cx=centre_x, cy=centre_y)
    return {"six masks": lambda: context.run(six), "centre of mass": lambda: context.run(centre)}


def processor_seconds() -> float:
    """Processor time of this process and its workers [s]."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    answer(works, cpu=processor_seconds)
