"""One training, in a process of its own, on patches that are streamed or lie in memory; what it took, epoch by epoch."""

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
from invae.training.annotations import SiteKnown
from invae.training.batches import ArraySource, PatchSource, open_patches
from invae.training.fit import Epoch
from invae.training.split import split_sites
from invae.training.train import OnEpoch, ignore, train_on

MODELS = {
    "VAE": {"family": "VAE"},
    "rVAE": {"family": "rVAE", "pose_inference": "exact"},
}
"""The fastest model, which waits soonest for its patches, and the usual one."""
BATCH, HELD_OUT = 64, 0.1


@dataclass(frozen=True)
class Run:
    """What is trained, on which store, and how."""

    path: str
    family: str
    streamed: bool
    epochs: int = 2


@dataclass(frozen=True)
class Answer:
    """What a training took."""

    wall: list[float]
    """Time of every epoch but the first, which warms up; with the judging [s]."""
    cpu: list[float]
    """The same of the processor, of all threads [s]."""
    grown_mb: float
    """Peak memory beyond that of a training on two batches."""
    elbo: list[float]
    """Of every epoch, on held-out sites [nats per patch]."""


class Held:
    """Patches of a streamed store in memory, given out in the order of the stream: the same batches."""

    def __init__(self, stream: PatchSource) -> None:
        """Read everything."""
        self.stream, self.held = stream, stream.load(np.arange(len(stream)))[0]
        self.geometry, self.known = stream.geometry, stream.known

    def __len__(self) -> int:
        return len(self.stream)

    def telling(self, known: SiteKnown) -> PatchSource:
        """Not asked for here: no hints are given."""
        return self.held.telling(known)

    def groups(self, sites: np.ndarray) -> list[np.ndarray]:
        """As the stream has them."""
        return self.stream.groups(sites)

    def load(self, sites: np.ndarray) -> tuple[ArraySource, np.ndarray]:
        """Everything, and where the sites are in it."""
        return self.held, sites


def trained(run: Run) -> Answer:
    """Train in a process of its own.

    Raises:
        RuntimeError: The process has ended early.
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
    """Train here, with the store read from the disk in every epoch."""
    torch.set_num_threads(1)
    path, clocks, elbo = Path(run.path), list[tuple[float, float]](), list[float]()
    stream = open_patches(path, in_memory=False)
    _train(stream.load(np.arange(2 * BATCH))[0], run.family)  # brings what is imported late
    began = peak_mb()

    def note(epoch: Epoch) -> None:
        elbo.append(epoch.held_out["elbo"])
        forget(path)
        clocks.append((time.perf_counter(), time.process_time()))

    forget(path)
    source = stream if run.streamed else Held(stream)
    _train(source, run.family, epochs=run.epochs, on_epoch=note)
    wall, cpu = np.diff(np.array(clocks), axis=0).T.tolist()
    return Answer(wall, cpu, peak_mb() - began, elbo)


def _train(
    source: PatchSource, family: str, *, epochs: int = 1, on_epoch: OnEpoch = ignore
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
