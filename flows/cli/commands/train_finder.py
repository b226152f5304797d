"""`invae train-finder`: train the network that detects atoms on simulated images."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console

if TYPE_CHECKING:
    from invae.config.segment import AtomNetworkConfig
    from invae.models.networks.unet import AtomNetwork
    from invae.training.history import Epoch


def train_finder(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the network.")
    ],
    changes: options.Changes = None,
) -> None:
    """Train the network that detects atoms on simulated images, and score it on unseen ones.

    After an interruption, the same command continues from the last checkpoint. The network in the package was trained
    with the default settings.

    For example:

      invae train-finder --out finder

      invae train-finder --out finder --set images.spacing=[10,40] --set n_steps=2000 --set seed=1
    """
    from invae.config import named
    from invae.config.segment import AtomNetworkConfig
    from invae.segmentation.network_folder import save, unfinished
    from invae.segmentation.score import scores

    values = named.changed({}, changes or [])
    config = named.checked(AtomNetworkConfig, values, prefix="train-finder")
    network = _trained(config, checkpoints=unfinished(out, config))
    result = scores(network, config)
    save(out, network, config, scores=result)
    print_result(
        f"{out}: F1 {result['f1']:.3f} on unseen images, position error {result['rms']:.2f} px"
    )


def _trained(config: "AtomNetworkConfig", *, checkpoints: Path) -> "AtomNetwork":
    """Train the network and show steps and the held-out score."""
    from flows.cli.console import progress_display
    from invae.segmentation.train import train

    with progress_display(progress_console()) as display:
        start, note = time.monotonic(), ""

        def on_epoch(epoch: "Epoch") -> None:
            nonlocal note
            best = "" if epoch.best else ", not the best"
            note = f"log likelihood {epoch.score:.4f} nats per held-out pixel{best}"

        display.begin("train")
        network = train(
            config,
            checkpoints=checkpoints,
            progress=lambda done, total: display.advance("train", done, total, note),
            on_epoch=on_epoch,
        )
        display.end("train", time.monotonic() - start)
    return network


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train-finder")(train_finder)
