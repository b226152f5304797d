"""Timed work of peers on the file of a scan; runs in their environments and needs only NumPy."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.timing import Work, in_turns, memory_copy

Request = dict[str, Any]
COPY = "memory copy"


def distances(request: Request) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offset of every detector pixel from the centre, down and to the right, and its distance [pixel]."""
    y, x = np.indices(request["shape"][2:], dtype=float)
    y, x = y - request["centre"][0], x - request["centre"][1]
    return y, x, np.hypot(y, x)


def answer(
    works: Callable[[Request], AbstractContextManager[dict[str, Work]]],
    *,
    cpu: Callable[[], float] = time.process_time,
) -> None:
    """Read the request named on the command line, time the work and a copy of the scan, write the times."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        request = json.load(stream)
    copy = memory_copy(np.load(request["file"]))
    with works(request) as theirs:
        all_times = in_turns({COPY: copy, **theirs}, turns=request["turns"], cpu=cpu)
    with open(request["answer"], "w", encoding="utf-8") as stream:
        json.dump({name: asdict(times) for name, times in all_times.items()}, stream)
