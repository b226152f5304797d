"""Speed of training on one core: images per CPU-second, and the share of the peak speed of matrix products.

`python -m benchmarks.peak` trains each family on cards of 48² pixels, one epoch per turn, in turns with a product of two large
matrices. The floating-point operations of an image are those of all layers with weights in one step: forward, the gradients of the
weights, and those of inputs that have one. Other products of matrices, such as Fourier transforms, do not count. The share of the peak
is the median over the turns, so that other load on the machine changes it little.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from benchmarks.timing import Times, Work, in_turns, ratio
from benchmarks.trials import cards
from invae.config import ModelConfig
from invae.models.build import build
from invae.models.objective import Objective
from invae.models.signals import IMAGE, Signals
from invae.training.batches import Batches
from invae.training.fit import Fit, Plan, constant
from invae.training.learner import VAELearner
from invae.training.random_batches import NothingHeldOut
from invae.training.signal_sources import ArraySource
from invae.training.standardisation import set_scale

FAMILIES = ("rVAE", "rtVAE")
BATCH = 100
N_SUITS = 4
SIDE = 1024
"""Rows and columns of the matrices of the reference product."""
ENDLESS = 1_000_000
"""Number of epochs that no benchmark reaches."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Speed:
    """Speed of the training of one family."""

    family: str
    flops_per_image: int
    """Of layers with weights, forward and backward."""
    images_per_second: float
    """Per CPU-second; the median over the turns."""
    share_of_peak: float
    """Of the speed of the reference product; the median over the turns."""


class LayerFlops(TorchFunctionMode):
    """Counts the operations of linear layers and convolutions in a training step; additions and multiplications count separately."""

    LAYERS = (functional.linear, functional.conv1d, functional.conv2d)

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and count it if it is a layer."""
        output = func(*args, **(kwargs or {}))
        if func in self.LAYERS:
            signal, weight = args[:2]
            self.total += self._flops(signal, weight, output)
        return output

    @staticmethod
    def _flops(signal: Tensor, weight: Tensor, output: Tensor) -> int:
        """Every weight acts once at every place of the output, in each of up to three passes."""
        n_places = output.numel() // len(weight)
        return 2 * n_places * weight.numel() * (1 + weight.requires_grad + signal.requires_grad)


def training_of(family: str, images: np.ndarray) -> Fit[Signals]:
    """A training of the default model of a family, without held-out images."""
    source = ArraySource(images[:, None])
    sites, config = np.arange(len(source)), ModelConfig.model_validate({"family": family})
    model = build(config, source.geometries[IMAGE], seed=0)
    set_scale(model, source, sites)
    plan = Plan(ENDLESS, ENDLESS, learning_rate=3e-3, schedule=constant, gradient_clip=10.0)
    learner = VAELearner(model, Objective.of(config))
    return Fit(learner, Batches(source, sites, BATCH, CPU), NothingHeldOut(), plan=plan, seed=0)


def flops_per_image(fit: Fit[Signals]) -> int:
    """Floating-point operations of a step per image."""
    batch = next(iter(fit.training.epoch(0, seed=0)))
    noise = fit.learner.noise(len(batch), torch.Generator().manual_seed(0))
    with LayerFlops() as counter:
        fit.learner.loss(batch, noise, progress=0.0)
    return round(counter.total / len(batch))


def matrix_product(*, n_products: int) -> Work:
    """Products of two matrices of `SIDE` rows and columns."""
    first, second = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    product = torch.empty(SIDE, SIDE)

    def work() -> None:
        for _ in range(n_products):
            torch.mm(first, second, out=product)

    return work


def measure(*, n_images: int, turns: int, n_products: int = 10) -> tuple[float, list[Speed]]:
    """Peak of matrix products [FLOP per CPU-second], and the speed of every family; one thread."""
    images = cards.arrays(cards.draw(cards.EASY, seed=0, n_per_suit=n_images // N_SUITS))[0]
    fits = {family: training_of(family, images) for family in FAMILIES}
    flops = {family: flops_per_image(fit) for family, fit in fits.items()}
    works = {family: _epochs(fit) for family, fit in fits.items()}
    works["peak"] = matrix_product(n_products=n_products)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = in_turns(works, turns=turns, cpu=time.process_time)
    finally:
        torch.set_num_threads(before)
    product_flops = n_products * 2 * SIDE**3
    peak = product_flops / float(np.median(times["peak"].cpu))
    speeds = [
        _speed(family, flops[family], len(images), times, product_flops=product_flops)
        for family in FAMILIES
    ]
    return peak, speeds


def _epochs(fit: Fit[Signals]) -> Work:
    """One epoch of a training with every call."""
    epochs: Iterator[object] = fit.epochs()
    return lambda: next(epochs)


def _speed(
    family: str, flops: int, n_images: int, times: dict[str, Times], *, product_flops: int
) -> Speed:
    own, peak = times[family].cpu, times["peak"].cpu
    share = ratio(own, peak) * flops * n_images / product_flops
    return Speed(family, flops, n_images / float(np.median(own)), share)


def table(peak: float, speeds: Sequence[Speed]) -> str:
    """The result as a Markdown table."""
    lines = [
        f"Peak of matrix products, one thread: {peak / 1e9:.0f} GFLOP per CPU-second.\n",
        "| model | MFLOP per image | images per CPU-second | share of peak |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {s.family} | {s.flops_per_image / 1e6:.2f} | {s.images_per_second:,.0f} | {s.share_of_peak:.3f} |"
        for s in speeds
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="images in an epoch")
    parser.add_argument("--turns", type=int, default=15, help="epochs of every family")
    chosen = parser.parse_args()
    print(table(*measure(n_images=chosen.images, turns=chosen.turns)))


if __name__ == "__main__":
    main()
