"""A batch in pieces, whose gradients are computed in threads and added up in order: the same bits for any number of cores.

Terms of the loss that are no means over patches (capacities, the entropy of the classes) are those of each piece, and terms known for
some patches only (labels) are means over those of each piece, weighted by the number of its patches.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from invae.config.training import LEAST_PIECE
from invae.models.loss import Loss
from invae.training.distributed import Part, part_of
from invae.training.parallel import threads

LossOf = Callable[[Part], Loss]


class Pieces:
    """Computes the gradients of batches."""

    def __init__(self, weights: Sequence[nn.Parameter], *, most: int) -> None:
        """Cut batches into `most` pieces, or fewer where they are small; without threads until `computed_by`."""
        self.weights, self.most = weights, most
        self._pool: ThreadPoolExecutor | None = None

    @contextmanager
    def computed_by(self, workers: int) -> Iterator[None]:
        """Inside, several threads compute pieces; values do not depend on their number."""
        if min(workers, self.most) == 1:
            yield
            return
        with threads(min(workers, self.most)) as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    def backward(self, loss_of: LossOf, n_items: int, *, share: float) -> list[Loss]:
        """Add the gradients of a batch to the weights, times a share; the losses of its pieces, in order.

        Args:
            loss_of: Loss of a part of the batch, a mean over its items.
            n_items: Number of items of the batch.
            share: Weight of the batch.
        """
        n = max(1, min(self.most, n_items // LEAST_PIECE))
        if n == 1:
            loss = loss_of(Part(slice(0, n_items), 1.0))
            (loss.value * share).backward()
            return [loss]
        parts = [part_of(n_items, number, n) for number in range(n)]
        run = map if self._pool is None else self._pool.map
        results = list(run(lambda part: self._gradients(loss_of, part), parts))
        for part, (_, gradients) in zip(parts, results, strict=True):
            self._add(gradients, part.share * share)
        return [loss for loss, _ in results]

    def _gradients(self, loss_of: LossOf, part: Part) -> tuple[Loss, Sequence[Tensor | None]]:
        """Loss and gradients of a piece; the weights are left as they are, since threads share them."""
        loss = loss_of(part)
        return loss, torch.autograd.grad(loss.value, self.weights, allow_unused=True)

    def _add(self, gradients: Sequence[Tensor | None], share: float) -> None:
        for weight, gradient in zip(self.weights, gradients, strict=True):
            if gradient is None:
                continue
            if weight.grad is None:
                weight.grad = gradient * share
            else:
                weight.grad.add_(gradient, alpha=share)
