"""A peer's training in an environment of its own: arrays and settings go in as files, latents and times come out."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import (
    ATOMAI,
    LIBERTEM,
    PY4DSTEM,
    PYROVED,
    Environment,
    make,
)
from benchmarks.timing import Times

ROOT = Path(__file__).parents[2]
SCRIPTS: Mapping[str, tuple[Environment, str]] = {
    "AtomAI": (ATOMAI, "benchmarks.peers.run_atomai"),
    "pyroVED": (PYROVED, "benchmarks.peers.run_pyroved"),
    "LiberTEM": (LIBERTEM, "benchmarks.peers.run_libertem"),
    "py4DSTEM": (PY4DSTEM, "benchmarks.peers.run_py4dstem"),
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
    with tempfile.TemporaryDirectory(prefix="invae-peer-") as folder:
        arrays, result = Path(folder, "arrays.npz"), Path(folder, "answer.npz")
        np.savez(arrays, images=np.float32(images), probe=np.float32(probe))
        asked = Path(folder, "request.json")
        asked.write_text(
            json.dumps({**asdict(request), "arrays": str(arrays), "answer": str(result)})
        )
        _run(peer, asked, threads=request.threads)
        with np.load(result) as found:
            values = dict(found)
    latents = {n: v for n, v in values.items() if n not in ("angles", "wall", "cpu")}
    return Answer(latents, values["angles"], values["wall"], values["cpu"])


@dataclass(frozen=True)
class ScanRequest:
    """What a peer does with the file of a 4D-STEM scan."""

    file: str
    """A NumPy file (scan_y, scan_x, k_y, k_x)."""
    shape: tuple[int, int, int, int]
    centre: tuple[float, float]
    """(y, x) [pixel]."""
    bands: tuple[tuple[float, float], ...]
    """Inner and outer radius of virtual detectors [pixel]."""
    workers: int
    turns: int


def ask_scan(peer: str, request: ScanRequest) -> dict[str, Times]:
    """Times of what a peer does with a scan, by name, turn by turn, beside a copy of the scan in memory.

    Raises:
        subprocess.CalledProcessError: The peer failed; its own message stands above.
    """
    with tempfile.TemporaryDirectory(prefix="invae-peer-") as folder:
        asked, result = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps({**asdict(request), "answer": str(result)}))
        _run(peer, asked, threads=request.workers)
        return {name: Times(**times) for name, times in json.loads(result.read_text()).items()}


def _run(peer: str, asked: Path, *, threads: int) -> None:
    environment, module = SCRIPTS[peer]
    subprocess.run(
        [str(make(environment)), "-m", module, str(asked)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "MPLBACKEND": "Agg"},
        stdout=subprocess.DEVNULL,
    )
