"""A trial: data whose answers are known, a model trained on them, scores on data it has not seen, and the marks they are held against."""

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
    """Which of the trial's scores."""
    words: str
    """What it is, for a reader."""
    beat: str = "–"
    """What others have reached."""
    mean: float | None = None
    """The mean over seeds shall reach this; nothing is asked for when empty."""
    worst: float | None = None
    """And the worst seed this."""
    wanted: Literal["high", "low"] = "high"


@dataclass(frozen=True)
class Trial:
    """One task of the scoreboard."""

    name: str
    words: str
    """What is done, for a reader."""
    run: Callable[["Trial", int, bool], Scores]
    """(trial, seed, quick) → scores; `seconds_cpu`, `seconds` and `images_per_second` may be among them."""
    settings: Mapping[str, Any]
    """Of data and model, JSON values; what `run` reads."""
    goals: tuple[Goal, ...]
    remark: str = ""
    """What a reader must know to judge the numbers."""
    chapter: Literal["latents", "microscopy"] = "latents"
    """Of the page, in which it stands."""
    n_seeds: int = 5
    """Most seeds that are run."""
    exclusive: bool = False
    """Times are compared: nothing else may run beside it."""
    peer: str = ""
    """Whose model it is; ours when empty."""
    beside: str = ""
    """The trial of ours that a peer's stands beside."""


@dataclass
class Clock:
    """What a piece of work costs."""

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
    """Times what stands inside."""
    found = Clock((time.perf_counter(), time.process_time()))
    try:
        yield found
    finally:
        found.seconds, found.seconds_cpu = found.so_far()


@dataclass(frozen=True)
class Training:
    """A trained model and what the training cost."""

    model: InvariantVAE
    cost: Scores
    """`seconds`, `seconds_cpu`, `images_per_second` (median over epochs), `epochs` (of all stages of the training)."""


def train(model: Mapping[str, Any], patches: Any, *, seed: int, **known: Any) -> Training:
    """Train `InvariantVAE(**model, seed=seed)` on patches; `known` goes to `fit` as it is."""
    vae = InvariantVAE(**model, seed=seed)
    speeds: list[float] = []
    with clock() as took:
        vae.fit(patches, **known, on_epoch=lambda epoch: speeds.append(epoch.patches_per_second))
    cost = {
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
        "images_per_second": statistics.median(speeds),
        "epochs": float(len(speeds)),
    }
    return Training(vae, cost)


def shortened(model: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """A model's settings; with a tenth of the epochs when quick."""
    if not quick:
        return dict(model)
    training = dict(model.get("training", {}))
    training["epochs"] = max(2, training.get("epochs", 20) // 10)
    return {**model, "training": training}
