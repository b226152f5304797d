"""`invae train-finder`: a network that marks atoms, trained on simulated images."""

import time
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer, progress_console


def train_finder(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to put it.")],
    changes: options.Changes = None,
) -> None:
    """Train the network that marks atoms on simulated images, and say how well it does on unseen ones.

    The one that comes with the package was made so, with the settings as they are.

    For example:

      invae train-finder --out finder

      invae train-finder --out finder --set images.spacing=[10,40] --set n_steps=2000 --set seed=1
    """
    from flows.cli.console import shown
    from invae.config import named
    from invae.config.segment import AtomNetworkConfig
    from invae.segmentation.network_folder import refuse_others, save
    from invae.segmentation.score import judge
    from invae.segmentation.train import train

    values = named.changed({}, changes or [])
    config = named.checked(AtomNetworkConfig, values, prefix="train-finder")
    refuse_others(out)
    with shown(progress_console()) as audience:
        began = time.monotonic()
        audience.begin("train")
        network = train(
            config, progress=lambda done, total: audience.move("train", done, total, "")
        )
        audience.end("train", time.monotonic() - began)
    judged = judge(network, config)
    save(out, network, config, judged=judged)
    answer(f"{out}: F1 {judged['f1']:.3f} on unseen images, {judged['rms']:.2f} px off")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("train-finder")(train_finder)
