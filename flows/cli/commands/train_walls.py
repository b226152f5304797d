"""`invae train-walls`: train the networks that mark domain walls on simulated PFM frames."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import options
from flows.cli.network_training import shown
from flows.cli.terminal import print_result


def train_walls(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the networks.")
    ],
    changes: options.Changes = None,
    workers: options.Workers = None,
) -> None:
    """Train the networks that mark domain walls and lamellae on simulated frames, and score them on unseen ones.

    After an interruption, the same command continues from the last checkpoint. The networks in the package were trained
    with the default settings.

    For example:

      invae train-walls --out walls

      invae train-walls --out walls --set n_members=5 --set images.snr=[1,20] --set seed=100
    """
    from torch import nn

    from invae.config import named
    from invae.config.segment import WallNetworkConfig
    from invae.segmentation.network_folder import save, unfinished
    from invae.segmentation.train import train_members
    from invae.segmentation.wall_calibration import calibration_of, scores
    from invae.segmentation.wall_finder import WallNetworks

    values = named.changed({}, changes or [])
    config = named.checked(WallNetworkConfig, values, prefix="train-walls")
    checkpoints = unfinished(out, config)
    members = shown(partial(train_members, config, checkpoints=checkpoints, workers=workers))
    calibration = calibration_of(members, config)
    result = scores(WallNetworks(members, calibration), config)
    save(out, nn.ModuleList(members), config, scores=result, calibration=calibration)
    print_result(
        f"{out}: IoU of lamellae {result['lamella_iou']:.3f} on unseen frames, "
        f"calibration error of walls {result['wall_ece']:.3f}"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train-walls")(train_walls)
