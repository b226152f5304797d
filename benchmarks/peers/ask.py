"""A peer's training in an environment of its own: arrays and settings go in as files, latents and times come out."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import ATOMAI, PYROVED, Environment, make

ROOT = Path(__file__).parents[2]
SCRIPTS: Mapping[str, tuple[Environment, str]] = {
    "AtomAI": (ATOMAI, "benchmarks.peers.run_atomai"),
    "pyroVED": (PYROVED, "benchmarks.peers.run_pyroved"),
}


@dataclass(frozen=True)
class Request:
    """How a peer trains; what is not here is its default."""

    epochs: int
    latent_dim: int = 2
    n_classes: int = 0
    translation: bool = True
    batch_size: int = 100
    rotation_prior: float = np.pi / 2
    """Of AtomAI, as in the example of its documentation; its default of 0.1 rad forbids large turns [rad]."""
    translation_prior: float = 0.1
    """Default of both [half the side]."""
    sampler: str = "bernoulli"
    """Of pyroVED, its default; `gaussian` where values leave 0–1."""
    seed: int = 0
    threads: int = 1
    trace: bool = False
    """Look at the probe's angles after every epoch."""
    cpu_seconds: float = 3600.0
    """Training ends with the epoch in which this is passed [s of processor time]."""


@dataclass(frozen=True)
class Answer:
    """What came out."""

    latents: Mapping[str, np.ndarray]
    """Of the probe: `angle`, `shift`, `content`, `content_sd`, `class`."""
    angles: np.ndarray
    """(epoch, probe) [rad]; empty without a trace."""
    wall: np.ndarray
    """Since the start, at the end of every epoch [s]."""
    cpu: np.ndarray


def ask(peer: str, request: Request, images: np.ndarray, probe: np.ndarray) -> Answer:
    """Train a peer on images (n, y, x) and encode the probe with it.

    Raises:
        subprocess.CalledProcessError: The peer failed; its own message stands above.
    """
    environment, module = SCRIPTS[peer]
    with tempfile.TemporaryDirectory(prefix="invae-peer-") as folder:
        arrays, result = Path(folder, "arrays.npz"), Path(folder, "answer.npz")
        np.savez(arrays, images=np.float32(images), probe=np.float32(probe))
        asked = Path(folder, "request.json")
        asked.write_text(
            json.dumps({**asdict(request), "arrays": str(arrays), "answer": str(result)})
        )
        subprocess.run(
            [str(make(environment)), "-m", module, str(asked)],
            check=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(request.threads), "MPLBACKEND": "Agg"},
            stdout=subprocess.DEVNULL,
        )
        with np.load(result) as found:
            values = dict(found)
    latents = {n: v for n, v in values.items() if n not in ("angles", "wall", "cpu")}
    return Answer(latents, values["angles"], values["wall"], values["cpu"])
