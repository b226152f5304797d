"""What is noted while a peer trains; runs in the peers' environments, so NumPy is all it knows."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Request = dict[str, Any]
Latents = dict[str, np.ndarray]
Train = Callable[[Request, np.ndarray, np.ndarray], Latents]


class TimeIsUp(Exception):
    """The processor time given is over."""


class Watch:
    """Times every epoch and looks at the probe's angles on the way; the look itself is not counted."""

    def __init__(self, request: Request, encode: Callable[[], Latents]) -> None:
        self.request, self.encode = request, encode
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.angles: list[np.ndarray] = []
        self._began = (time.perf_counter(), time.process_time())

    def epoch(self) -> None:
        """Note an epoch.

        Raises:
            TimeIsUp: The processor time is over.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall.append(wall - self._began[0])
        self.cpu.append(cpu - self._began[1])
        if self.request["trace"]:
            self.angles.append(self.encode()["angle"])
        if self.cpu[-1] > self.request["cpu_seconds"]:
            raise TimeIsUp
        looked = (time.perf_counter() - wall, time.process_time() - cpu)
        self._began = (self._began[0] + looked[0], self._began[1] + looked[1])

    def answer(self) -> Latents:
        """Seconds since the start at the end of every epoch, the angles then, and the latents now."""
        times = {"wall": np.array(self.wall), "cpu": np.array(self.cpu)}
        return {**times, "angles": np.array(self.angles), **self.encode()}


def named(mean: Any, sd: Any, weights: Any, *, translation: bool) -> Latents:
    """Latents by our names: a peer puts the angle first, then the shift if there is one, then the content."""
    mean, sd = np.asarray(mean), np.asarray(sd)
    n_coords = 3 if translation else 1
    return {
        "angle": mean[:, 0],
        "shift": mean[:, 1:n_coords],
        "content": mean[:, n_coords:],
        "content_sd": sd[:, n_coords:],
        "class": np.zeros(len(mean), int) if weights is None else np.asarray(weights).argmax(1),
    }


def answer(train: Train) -> None:
    """Read the request whose path stands on the command line, train, write the answer."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        request = json.load(stream)
    torch.set_num_threads(request["threads"])
    with np.load(request["arrays"]) as arrays:
        images, probe = arrays["images"], arrays["probe"]
    np.savez(request["answer"], **train(request, images, probe))
