"""Progress of the training of a network that marks images: steps and the held-out score."""

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from flows.cli.terminal import progress_console

if TYPE_CHECKING:
    from invae.progress import Progress
    from invae.training.checkpoint import OnEpoch
    from invae.training.history import Epoch

Trained = TypeVar("Trained", covariant=True)


class Train(Protocol[Trained]):
    """A training with all of its settings."""

    def __call__(self, *, progress: "Progress", on_epoch: "OnEpoch") -> Trained:
        """Train."""
        ...


def shown(train: Train[Trained]) -> Trained:
    """The result of a training, whose steps and held-out score are shown meanwhile."""
    from flows.cli.console import progress_display

    with progress_display(progress_console()) as display:
        start, note = time.monotonic(), ""

        def on_epoch(epoch: "Epoch") -> None:
            nonlocal note
            best = "" if epoch.best else ", not the best"
            note = f"log likelihood {epoch.score:.4f} nats per held-out pixel{best}"

        display.begin("train")
        network = train(
            progress=lambda done, total: display.advance("train", done, total, note),
            on_epoch=on_epoch,
        )
        display.end("train", time.monotonic() - start)
    return network
