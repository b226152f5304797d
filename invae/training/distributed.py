"""Training shared by several processes: each takes its part of every batch, and all take the same step.

`torchrun` starts them and sets the environment variables with their ranks. The noise is drawn for the whole batch and sums run
over the whole batch, so the steps are those of one process except for the order in which numbers are added. Terms that are no
means over patches (capacities, the entropy of the classes) are those of each part.

Before every exchange all processes tell each other on the CPU whether they can go on. So if one has no memory left, or fails
otherwise, all stop at the same exchange instead of waiting for it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from invae.errors import WorkerLost

TIMEOUT = timedelta(minutes=10)
"""Longest time that one process waits for another."""
WELL, FAILED, OUT_OF_MEMORY = 0, 1, 2
"""States that a process reports before an exchange; the largest one that any process reports counts."""


class OutOfMemoryElsewhere(torch.OutOfMemoryError):
    """Another process of the same training has no memory left."""


class StoppedElsewhere(WorkerLost):
    """Another process of the same training failed, or is gone."""


@dataclass(frozen=True)
class Part:
    """The patches of a batch that one process evaluates."""

    place: slice
    share: float
    """Weight of the part in the batch's mean; 0 where there are more processes than patches, and one patch is evaluated to no effect."""


def part_of(n_patches: int, number: int, n_parts: int) -> Part:
    """One of the parts of a batch, which are of equal size, or differ by one."""
    start, stop = (n_patches * (number + end) // n_parts for end in (0, 1))
    if start == stop:
        return Part(slice(0, 1), 0.0)
    return Part(slice(start, stop), (stop - start) / n_patches)


@dataclass(frozen=True)
class Team:
    """The processes that train one model together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes for all."""
        return self.rank == 0

    def part(self, n_patches: int) -> Part:
        """This process' part of a batch; the parts are of equal size, or differ by one."""
        return part_of(n_patches, self.rank, self.size)

    def copy_weights(self, module: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.size > 1:
            self.wait()
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)

    def sum_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of the parts by their sum, in one exchange."""
        if self.size == 1:
            return
        own = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        summed = self.sum(torch.cat([gradient.flatten() for gradient in own]))
        for weight, gradient in zip(
            weights, summed.split([w.numel() for w in weights]), strict=True
        ):
            weight.grad = gradient.view_as(weight)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of the values of all processes."""
        if self.size > 1:
            self.wait()
            dist.all_reduce(values)
        return values

    def sum_by_name(self, values: Mapping[str, Tensor | float | int]) -> dict[str, float]:
        """Sums over all processes, by name; all have the same names."""
        if self.size == 1:
            return {name: float(value) for name, value in values.items()}
        own = [torch.as_tensor(v, dtype=torch.float64, device="cpu") for v in values.values()]
        return dict(zip(values, self.sum(torch.stack(own)).tolist(), strict=True)) if own else {}

    def wait(self) -> None:
        """Return when all processes are here and can go on.

        Raises:
            OutOfMemoryElsewhere: One of them has no memory left.
            StoppedElsewhere: One of them failed, or is gone.
        """
        worst = self._exchange_states(WELL) if self.size > 1 else WELL
        if worst == OUT_OF_MEMORY:
            raise OutOfMemoryElsewhere("another process of this training has no memory left")
        if worst == FAILED:
            raise StoppedElsewhere("another process of this training failed, for its own reason")

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """An error inside stops all processes at their next exchange; the end is reached when all are through."""
        state = FAILED
        try:
            yield
            self.wait()
            state = WELL
        except (OutOfMemoryElsewhere, StoppedElsewhere):
            state = WELL  # the others know already
            raise
        except torch.OutOfMemoryError:
            state = OUT_OF_MEMORY
            raise
        finally:
            if state != WELL:
                with suppress(StoppedElsewhere):
                    self._exchange_states(state)

    def _exchange_states(self, own: int) -> int:
        """The worst state that a process reports."""
        state = torch.tensor(own)  # on the CPU: a GPU would have to be waited for
        try:
            dist.all_reduce(state, dist.ReduceOp.MAX)
        except RuntimeError as error:
            raise StoppedElsewhere(
                "another process of this training is gone; the same command goes on from the last checkpoint"
            ) from error
        return int(state)


ALONE = Team()


@contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The processes of the environment (RANK, WORLD_SIZE, MASTER_ADDR), or this one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "MASTER_ADDR" not in os.environ:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
    # torchrun may keep the store when it starts all processes again; it then holds addresses of processes that have ended.
    attempt = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    dist.init_process_group(backend, store=attempt, rank=rank, world_size=size, timeout=TIMEOUT)
    members = Team(rank, size)
    try:
        with members.failing_together():
            yield members
    finally:
        dist.destroy_process_group()
