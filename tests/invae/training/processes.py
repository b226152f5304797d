"""Work for the processes of the tests, which import it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from invae.errors import InputError
from invae.training.device import n_cores
from invae.training.parallel import in_processes


def described(values: np.ndarray, item: int, report: Any) -> tuple[float, int, int, int]:
    """The sum of an array times the item, the process, its threads and its cores."""
    report((item, "begun"))
    values[0] += item  # its own copy
    return float(values.sum() * item), os.getpid(), torch.get_num_threads(), n_cores()


def refused(item: int, report: Any) -> int:
    """An error that a user can act on, for one of the items."""
    if item == 2:
        raise InputError("item 2 has no sites; leave it out")
    return item


def mistaken(item: int, report: Any) -> float:
    """An error of the code."""
    return 1 / (item - 1)


def killed(item: int, report: Any) -> int:
    """A process that is ended from outside."""
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def nested(item: int, report: Any) -> list[int]:
    """The processes of items inside an item."""
    return in_processes(process_of, [0, 1], workers=2, listen=lambda *_: None)


def process_of(item: int, report: Any) -> int:
    """The process."""
    return os.getpid()


def slow(folder: Path, item: int, report: Any) -> None:
    """Writes which process it is, and works for long."""
    (folder / str(item)).write_text(str(os.getpid()))
    time.sleep(600)
