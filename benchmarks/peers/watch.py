"""Records of a peer's training; runs in the peers' environments and needs only NumPy."""

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
    """The processor time is used up."""


class Watch:
    """Times every epoch and encodes the probe images meanwhile; the encoding is not counted."""

    def __init__(self, request: Request, encode: Callable[[], Latents]) -> None:
        self.request, self.encode = request, encode
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.angles: list[np.ndarray] = []
        self._began = (time.perf_counter(), time.process_time())

    def epoch(self) -> None:
        """Record an epoch.

        Raises:
            TimeIsUp: If the processor time is used up.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall.append(wall - self._began[0])
        self.cpu.append(cpu - self._began[1])
        if self.request["trace"]:
            self.angles.append(self.encode()["angle"])
        if self.cpu[-1] > self.request["cpu_seconds"]:
            raise TimeIsUp
        encoding = (time.perf_counter() - wall, time.process_time() - cpu)
        self._began = (self._began[0] + encoding[0], self._began[1] + encoding[1])

    def answer(self) -> Latents:
        """Times since the start at the end of every epoch, the angles at these times, and the final latent variables."""
        times = {"wall": np.array(self.wall), "cpu": np.array(self.cpu)}
        return {**times, "angles": np.array(self.angles), **self.encode()}


def named(mean: Any, sd: Any, weights: Any, *, translation: bool) -> Latents:
    """Latent variables by our names: a peer returns the angle, then the shift if there is one, then the content."""
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
    """Read the request named on the command line, train, write the answer."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        request = json.load(stream)
    torch.set_num_threads(request["threads"])
    with np.load(request["arrays"]) as arrays:
        images, probe = arrays["images"], arrays["probe"]
    np.savez(request["answer"], **train(request, images, probe))
