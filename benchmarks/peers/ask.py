"""A peer's training in its own environment: arrays and settings are passed as files, latent variables and times are returned."""

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
    "AtomAI search": (ATOMAI, "benchmarks.peers.run_atomai_search"),
    "pyroVED": (PYROVED, "benchmarks.peers.run_pyroved"),
    "LiberTEM": (LIBERTEM, "benchmarks.peers.run_libertem"),
    "py4DSTEM": (PY4DSTEM, "benchmarks.peers.run_py4dstem"),
}


@dataclass(frozen=True)
class Request:
    """How a peer trains; other settings have its defaults."""

    epochs: int
    latent_dim: int = 2
    n_classes: int = 0
    translation: bool = True
    batch_size: int = 100
    rotation_prior: float = np.pi / 2
    """Of AtomAI, as in the example of its documentation; its default of 0.1 rad prevents large rotations [rad]."""
    translation_prior: float = 0.1
    """Default of both [half the side]."""
    sampler: str = "bernoulli"
    """Of pyroVED, its default; `gaussian` for values outside 0–1."""
    decoder_sd: float = 0.5
    """Of pyroVED's gaussian sampler, its default [unit of the values]."""
    seed: int = 0
    threads: int = 1
    trace: bool = False
    """Whether the angles of the probe images are encoded after every epoch."""
    cpu_seconds: float = 3600.0
    """The training ends with the epoch in which this time is exceeded [s of processor time]."""
    least_epochs: int = 0
    """The training does not end before this epoch, whatever time it takes."""
    lengths: tuple[int, ...] = ()
    """Epochs after which spectra of the probe images are predicted, besides the last one."""


@dataclass(frozen=True)
class SearchRequest:
    """An active measurement by AtomAI's deep kernel learning."""

    seed: int
    budget: int
    opening: int
    """Random sites before the first proposal."""
    cycles: int
    """Training steps after each measurement."""
    threads: int = 1


@dataclass(frozen=True)
class Answer:
    """The result of a peer."""

    latents: Mapping[str, np.ndarray]
    """Of the probe images: `angle`, `shift`, `content`, `content_sd`, `class`."""
    angles: np.ndarray
    """(epoch, probe) [rad]; empty without a trace."""
    wall: np.ndarray
    """Time since the start at the end of every epoch [s]."""
    cpu: np.ndarray


@dataclass(frozen=True)
class SpectraAnswer:
    """Spectra that a peer predicts for the probe images."""

    spectra: np.ndarray
    """After each length of the training (length, probe, energy)."""
    lengths: np.ndarray
    """[epochs]"""
    n_pairs: int
    """Pairs that an epoch trains on: AtomAI leaves out an incomplete batch."""
    wall: np.ndarray
    """Time since the start at the end of every epoch [s]."""
    cpu: np.ndarray


def ask(peer: str, request: Request, images: np.ndarray, probe: np.ndarray) -> Answer:
    """Train a peer on images (n, y, x) and encode the probe images with it.

    Raises:
        subprocess.CalledProcessError: If the peer fails; its own message is printed above.
    """
    values = _answered(peer, request, images=images, probe=probe)
    latents = {n: v for n, v in values.items() if n not in ("angles", "wall", "cpu")}
    return Answer(latents, values["angles"], values["wall"], values["cpu"])


def ask_spectra(
    peer: str, request: Request, images: np.ndarray, spectra: np.ndarray, probe: np.ndarray
) -> SpectraAnswer:
    """Train a peer on images (n, y, x) and their spectra (n, energy), and predict spectra of the probe images.

    Raises:
        subprocess.CalledProcessError: If the peer fails; its own message is printed above.
    """
    values = _answered(peer, request, images=images, spectra=spectra, probe=probe)
    return SpectraAnswer(**{**values, "n_pairs": int(values["n_pairs"])})


def ask_search(
    request: SearchRequest, images: np.ndarray, target: np.ndarray
) -> dict[str, np.ndarray]:
    """A search by AtomAI: `order` of the measured sites, `coverage` of the others, `seconds_cpu`.

    Raises:
        subprocess.CalledProcessError: If it fails; its own message is printed above.
    """
    return _answered("AtomAI search", request, images=images, target=target)


def _answered(
    peer: str, request: Request | SearchRequest, **arrays: np.ndarray
) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="invae-peer-") as folder:
        given, result = Path(folder, "arrays.npz"), Path(folder, "answer.npz")
        single = {name: values.astype(np.float32) for name, values in arrays.items()}
        np.savez(given, **single)  # pyright: ignore[reportArgumentType]
        request_file = Path(folder, "request.json")
        request_file.write_text(
            json.dumps({**asdict(request), "arrays": str(given), "answer": str(result)})
        )
        _run(peer, request_file, threads=request.threads)
        with np.load(result) as arrays_of_peer:
            return dict(arrays_of_peer)


@dataclass(frozen=True)
class ScanRequest:
    """The work of a peer on the file of a 4D-STEM scan."""

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
    """Times of a peer's work on a scan, by name and turn by turn, together with a copy of the scan in memory.

    Raises:
        subprocess.CalledProcessError: If the peer fails; its own message is printed above.
    """
    with tempfile.TemporaryDirectory(prefix="invae-peer-") as folder:
        request_file, result = Path(folder, "request.json"), Path(folder, "answer.json")
        request_file.write_text(json.dumps({**asdict(request), "answer": str(result)}))
        _run(peer, request_file, threads=request.workers)
        return {name: Times(**times) for name, times in json.loads(result.read_text()).items()}


def _run(peer: str, request_file: Path, *, threads: int) -> None:
    environment, module = SCRIPTS[peer]
    subprocess.run(
        [str(make(environment)), "-m", module, str(request_file)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "MPLBACKEND": "Agg"},
        stdout=subprocess.DEVNULL,
    )
