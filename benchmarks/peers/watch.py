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
TrainPairs = Callable[[Request, np.ndarray, np.ndarray, np.ndarray], Latents]


class TimeIsUp(Exception):
    """The processor time is used up."""


class Watch:
    """Times every epoch and encodes the probe images meanwhile; the encoding is not counted."""

    def __init__(self, request: Request, encode: Callable[[], Latents]) -> None:
        self.request, self.encode = request, encode
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.angles: list[np.ndarray] = []
        self.spectra: dict[int, np.ndarray] = {}
        """Of the probe images, by epochs of training."""
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
        n_epochs = len(self.cpu)
        if n_epochs in self.request["lengths"]:
            self.spectra[n_epochs] = self.encode()["spectra"]
        if self.cpu[-1] > self.request["cpu_seconds"] and n_epochs >= self.request["least_epochs"]:
            raise TimeIsUp
        encoding = (time.perf_counter() - wall, time.process_time() - cpu)
        self._began = (self._began[0] + encoding[0], self._began[1] + encoding[1])

    def answer(self) -> Latents:
        """Times since the start at the end of every epoch, the angles at these times, and the final latent variables."""
        return {**self._times(), "angles": np.array(self.angles), **self.encode()}

    def answer_spectra(self, n_pairs: int) -> Latents:
        """Times, and spectra of the probe images after each length of the training; `n_pairs` is the number that an epoch trains on."""
        self.spectra[len(self.cpu)] = self.encode()["spectra"]
        return {
            **self._times(),
            "n_pairs": np.array(n_pairs),
            "lengths": np.array(list(self.spectra)),
            "spectra": np.stack(list(self.spectra.values())),
        }

    def _times(self) -> Latents:
        return {"wall": np.array(self.wall), "cpu": np.array(self.cpu)}


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


def answer(train: Train, train_pairs: TrainPairs) -> None:
    """Read the request named on the command line, train on images or on pairs, write the answer."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        request = json.load(stream)
    torch.set_num_threads(request["threads"])
    with np.load(request["arrays"]) as arrays:
        given = dict(arrays)
    images, probe = given["images"], given["probe"]
    if "spectra" in given:
        found = train_pairs(request, images, given["spectra"], probe)
    else:
        found = train(request, images, probe)
    np.savez(request["answer"], **found)  # pyright: ignore[reportArgumentType]
