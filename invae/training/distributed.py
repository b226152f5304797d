"""Training shared by several processes: each takes its part of every batch, and all take the same step.

`torchrun` starts them and says in the environment who is who. The noise is drawn for the whole batch and the sums are of the
whole batch, so that the steps are those of one process but for the order in which numbers are added up. Terms that are no
means over patches (capacities, the entropy of the classes) are those of each part.

Before every exchange all say on the CPU whether they can go on. So where one has no memory left, or fails otherwise, all
stop at the same exchange instead of waiting for it.
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

SILENCE = timedelta(minutes=10)
"""So long one process waits for another."""
WELL, FAILED, OUT_OF_MEMORY = 0, 1, 2
"""What a process says of itself before an exchange; the largest that anyone says counts."""


class OutOfMemoryElsewhere(torch.OutOfMemoryError):
    """Another process of the same training has no memory left."""


class StoppedElsewhere(WorkerLost):
    """Another process of the same training failed, or is gone."""


@dataclass(frozen=True)
class Part:
    """The patches of a batch that one process looks at."""

    place: slice
    share: float
    """Of the batch's mean that is theirs; 0 where there are more processes than patches, and one is looked at in vain."""


@dataclass(frozen=True)
class Team:
    """The processes that train one model together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process tells and writes for all."""
        return self.rank == 0

    def part(self, n_patches: int) -> Part:
        """This process' part of a batch; the parts are of equal size, or differ by one."""
        start, stop = (n_patches * (self.rank + end) // self.size for end in (0, 1))
        if start == stop:
            return Part(slice(0, 1), 0.0)
        return Part(slice(start, stop), (stop - start) / n_patches)

    def begin_alike(self, model: nn.Module) -> None:
        """Give every process the leader's weights."""
        if self.size > 1:
            self.wait()
            for value in model.state_dict().values():
                dist.broadcast(value, src=0)

    def add_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of the parts by their sum, in one exchange."""
        if self.size == 1:
            return
        own = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        together = self.add(torch.cat([gradient.flatten() for gradient in own]))
        for weight, summed in zip(
            weights, together.split([w.numel() for w in weights]), strict=True
        ):
            weight.grad = summed.view_as(weight)

    def add(self, values: Tensor) -> Tensor:
        """The sum of what every process has."""
        if self.size > 1:
            self.wait()
            dist.all_reduce(values)
        return values

    def add_up(self, values: Mapping[str, Tensor | float | int]) -> dict[str, float]:
        """Sums over all processes, by name; all have the same names."""
        if self.size == 1:
            return {name: float(value) for name, value in values.items()}
        own = [torch.as_tensor(v, dtype=torch.float64, device="cpu") for v in values.values()]
        return dict(zip(values, self.add(torch.stack(own)).tolist(), strict=True)) if own else {}

    def wait(self) -> None:
        """Go on when all are here and can go on.

        Raises:
            OutOfMemoryElsewhere: One of them has no memory left.
            StoppedElsewhere: One of them failed, or is gone.
        """
        said = self._say(WELL) if self.size > 1 else WELL
        if said == OUT_OF_MEMORY:
            raise OutOfMemoryElsewhere("another process of this training has no memory left")
        if said == FAILED:
            raise StoppedElsewhere("another process of this training failed, for its own reason")

    @contextmanager
    def together(self) -> Iterator[None]:
        """What fails inside fails everywhere, at the next exchange; left when all are through."""
        said = FAILED
        try:
            yield
            self.wait()
            said = WELL
        except (OutOfMemoryElsewhere, StoppedElsewhere):
            said = WELL  # known already
            raise
        except torch.OutOfMemoryError:
            said = OUT_OF_MEMORY
            raise
        finally:
            if said != WELL:
                with suppress(StoppedElsewhere):
                    self._say(said)

    def _say(self, own: int) -> int:
        """The worst that a process says of itself."""
        said = torch.tensor(own)  # on the CPU: a GPU would have to be waited for
        try:
            dist.all_reduce(said, dist.ReduceOp.MAX)
        except RuntimeError as error:
            raise StoppedElsewhere(
                "another process of this training is gone; the same command goes on from the last checkpoint"
            ) from error
        return int(said)


ALONE = Team()


@contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The processes that the environment tells of (RANK, WORLD_SIZE, MASTER_ADDR), or this one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "MASTER_ADDR" not in os.environ:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, rank, size = next(rendezvous("env://", timeout=SILENCE))
    # torchrun may keep the store when it starts all anew, with addresses in it of processes that have ended
    attempt = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    dist.init_process_group(backend, store=attempt, rank=rank, world_size=size, timeout=SILENCE)
    found = Team(rank, size)
    try:
        with found.together():
            yield found
    finally:
        dist.destroy_process_group()
