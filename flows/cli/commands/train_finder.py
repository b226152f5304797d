"""`invae train-finder`: train the network that detects atoms on simulated images."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import options
from flows.cli.network_training import shown
from flows.cli.terminal import print_result


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
    from invae.segmentation.train import train

    values = named.changed({}, changes or [])
    config = named.checked(AtomNetworkConfig, values, prefix="train-finder")
    network = shown(partial(train, config, checkpoints=unfinished(out, config)))
    result = scores(network, config)
    save(out, network, config, scores=result)
    print_result(
        f"{out}: F1 {result['f1']:.3f} on unseen images, position error {result['rms']:.2f} px"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train-finder")(train_finder)
