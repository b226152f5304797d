"""One training in a separate process, on patches that are streamed or in memory; its costs, epoch by epoch."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.peak_memory import peak_mb
from benchmarks.streaming.patches import forget
from invae.config import ModelConfig, TrainingConfig
from invae.training.annotations import SiteAnnotations
from invae.training.history import Epoch
from invae.training.signal_sources import ArraySource, SignalSource, open_signals
from invae.training.split import split_sites
from invae.training.train import OnEpoch, ignore, train_on

MODELS = {
    "VAE": {"family": "VAE"},
    "rVAE": {"family": "rVAE", "pose_inference": "exact"},
}
"""The fastest model, which is the first to wait for its patches, and the usual one."""
BATCH, HELD_OUT = 64, 0.1


@dataclass(frozen=True)
class Run:
    """Model, store and mode of a training."""

    path: str
    family: str
    streamed: bool
    epochs: int = 2


@dataclass(frozen=True)
class Answer:
    """Costs of a training."""

    wall: list[float]
    """Wall time of every epoch but the first, which warms up, including the evaluation [s]."""
    cpu: list[float]
    """Processor time of all threads for the same epochs [s]."""
    grown_mb: float
    """Peak memory beyond that of a training on two batches."""
    elbo: list[float]
    """Held-out ELBO of every epoch [nats per patch]."""


class InMemory:
    """Patches of a streamed store in memory, in the order of the stream, so that batches are the same."""

    def __init__(self, stream: SignalSource) -> None:
        """Read all patches."""
        self.stream, self.patches = stream, stream.load(np.arange(len(stream)))[0]
        self.geometries, self.known = stream.geometries, stream.known

    def __len__(self) -> int:
        return len(self.stream)

    def annotated(self, known: SiteAnnotations) -> SignalSource:
        """Never called here: there are no hints."""
        return self.patches.annotated(known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        """The groups of the stream."""
        return self.stream.groups(sites)

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        """All patches, and the indices of the sites."""
        return self.patches, sites


def trained(run: Run) -> Answer:
    """Train in a separate process.

    Raises:
        RuntimeError: If the process ended early.
    """
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.streaming.training", json.dumps(asdict(run))],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"training on {run.path} ended early: {' '.join(last)}")
    return Answer(**json.loads(answer.stdout))


def measure(run: Run) -> Answer:
    """Train in this process, with the store read from the disk in every epoch."""
    torch.set_num_threads(1)
    path, clocks, elbo = Path(run.path), list[tuple[float, float]](), list[float]()
    stream = open_signals(path, in_memory=False)
    _train(
        stream.load(np.arange(2 * BATCH))[0], run.family
    )  # loads everything that is imported late
    began = peak_mb()

    def record(epoch: Epoch) -> None:
        elbo.append(epoch.held_out["elbo"])
        forget(path)
        clocks.append((time.perf_counter(), time.process_time()))

    forget(path)
    source = stream if run.streamed else InMemory(stream)
    _train(source, run.family, epochs=run.epochs, on_epoch=record)
    wall, cpu = np.diff(np.array(clocks), axis=0).T.tolist()
    return Answer(wall, cpu, peak_mb() - began, elbo)


def _train(
    source: SignalSource, family: str, *, epochs: int = 1, on_epoch: OnEpoch = ignore
) -> None:
    train_on(
        source,
        split_sites(len(source), share=HELD_OUT, seed=0),
        model=ModelConfig.model_validate(MODELS[family]),
        training=TrainingConfig(epochs=epochs, batch_size=BATCH, angle_start="free"),
        seed=0,
        device=torch.device("cpu"),
        channels=("counts",),
        on_epoch=on_epoch,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Run(**json.loads(sys.argv[1]))))))
