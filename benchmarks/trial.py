"""A trial: data with known answers, a model trained on them, scores on unseen data, and goals."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from invae import InvariantVAE

Scores = dict[str, float]


@dataclass(frozen=True)
class Goal:
    """One line of the scoreboard."""

    score: str
    """Name of the score."""
    words: str
    """Description for the reader."""
    beat: str = "–"
    """Value reached by others."""
    mean: float | None = None
    """Goal for the mean over seeds; none when empty."""
    worst: float | None = None
    """Goal for the worst seed."""
    better: Literal["high", "low"] = "high"
    """Whether high or low values are better."""

    @property
    def is_set(self) -> bool:
        """Whether there is a goal for the mean or the worst seed."""
        return self.mean is not None or self.worst is not None


@dataclass(frozen=True)
class Trial:
    """One task of the scoreboard."""

    name: str
    words: str
    """Description for the reader."""
    run: Callable[["Trial", int, bool], Scores]
    """(trial, seed, quick) → scores, optionally with `seconds_cpu`, `seconds` and `images_per_second`."""
    settings: Mapping[str, Any]
    """Settings of data and model for `run`, as JSON values."""
    goals: tuple[Goal, ...]
    remark: str = ""
    """Remark that helps to judge the numbers."""
    chapter: Literal[
        "latents", "microscopy", "domains", "pairs", "active", "verdict", "polycrystal"
    ] = "latents"
    """Chapter of the page."""
    n_seeds: int = 5
    """Largest number of seeds."""
    exclusive: bool = False
    """Whether times are compared, so that nothing else may run in parallel."""
    peer: str = ""
    """Package of a peer's model; empty for ours."""
    peer_of: str = ""
    """Our trial that a peer's trial is compared with."""


@dataclass
class Clock:
    """Time of a piece of work."""

    began: tuple[float, float]
    seconds: float = 0.0
    """Wall time [s]."""
    seconds_cpu: float = 0.0
    """Processor time of this process [s]."""

    def so_far(self) -> tuple[float, float]:
        """Wall and processor time since the beginning [s]."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


@contextmanager
def clock() -> Iterator[Clock]:
    """Measure the time of the statements inside."""
    measured = Clock((time.perf_counter(), time.process_time()))
    try:
        yield measured
    finally:
        measured.seconds, measured.seconds_cpu = measured.so_far()


@dataclass(frozen=True)
class Training:
    """A trained model and the cost of its training."""

    model: InvariantVAE
    cost: Scores
    """`seconds`, `seconds_cpu`, `images_per_second` (median over epochs), `epochs` (of all stages of the training)."""


def train(model: Mapping[str, Any], patches: Any, *, seed: int, **annotations: Any) -> Training:
    """Train `InvariantVAE(**model, seed=seed)` on patches; `annotations` are passed to `fit`."""
    vae = InvariantVAE(**model, seed=seed)
    speeds: list[float] = []
    with clock() as took:
        vae.fit(
            patches, **annotations, on_epoch=lambda epoch: speeds.append(epoch.patches_per_second)
        )
    cost = {
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
        "images_per_second": statistics.median(speeds),
        "epochs": float(len(speeds)),
    }
    return Training(vae, cost)


def shortened(model: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """The settings of a model, with a tenth of the epochs if quick."""
    if not quick:
        return dict(model)
    training = dict(model.get("training", {}))
    training["epochs"] = max(2, training.get("epochs", 20) // 10)
    return {**model, "training": training}
