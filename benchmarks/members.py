"""Training speed of an ensemble: a step of all members one after the other, and at once by `torch.func.vmap`.

`python -m benchmarks.members` prints the processor time of a step (forward and backward) with one thread, as medians.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.timing import median_seconds
from invae.config import ModelConfig
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.evaluation import evaluate
from invae.models.objective import Objective
from invae.models.signals import Signals

N_MEMBERS, BATCH, SIDE, REPEATS = 8, 64, 48, 15
FAMILIES = ("VAE", "rVAE", "rtVAE")


class Loss(nn.Module):
    """The loss of a model on one batch, as a module, so that its weights can be passed in."""

    def __init__(self, model: nn.Module, config: ModelConfig, patches: Patches) -> None:
        super().__init__()
        self.model, self.objective, self.batch = (
            model,
            Objective.of(config),
            Signals.of_image(patches),
        )

    def forward(self) -> Tensor:
        evaluation = evaluate(self.model, self.batch)  # type: ignore[arg-type]
        return self.objective.weigh(evaluation, progress=0.5).value


def seconds(step: Callable[[], object]) -> float:
    """Median processor time of a step, after a warm-up step [s]."""
    step()
    return median_seconds(step, repeats=REPEATS, clock=time.process_time)


def compare(family: str, patches: Patches) -> None:
    """Print a line for a family."""
    config = ModelConfig.model_validate({"family": family})
    models = [build(config, Geometry(1, SIDE, SIDE), seed=k) for k in range(N_MEMBERS)]
    losses = [Loss(model, config, patches) for model in models]
    weights, buffers = stack_module_state(losses)  # type: ignore[arg-type]

    def loss_of_one(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(losses[0], (weights, buffers), ())

    stacked_step = vmap(grad(loss_of_one))
    sequential = seconds(lambda: [loss().backward() for loss in losses])
    stacked = seconds(lambda: stacked_step(weights, buffers))
    print(
        f"{family}: {N_MEMBERS} members one after the other {sequential * 1e3:.0f} ms, "
        f"stacked {stacked * 1e3:.0f} ms: {sequential / stacked:.2f} times as fast"
    )


def main() -> None:
    """Compare all families."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    patches = Patches(torch.rand(BATCH, 1, SIDE, SIDE, generator=generator))
    for family in FAMILIES:
        compare(family, patches)


if __name__ == "__main__":
    main()
