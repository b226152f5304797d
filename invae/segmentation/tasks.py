"""What networks are trained to mark: atoms in images, or walls in PFM frames. One row each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from invae.config.segment import AtomNetworkConfig, NetworkConfig, WallNetworkConfig
from invae.models.networks.unet import UNet
from invae.segmentation.atom_images import batch_of_atoms
from invae.segmentation.learner import ImageBatch
from invae.segmentation.wall_images import N_INPUTS, N_MARKS, batch_of_walls


@dataclass(frozen=True)
class Task:
    """Something to mark."""

    name: str
    """Of its files."""
    words: str
    """For errors: "a network that marks ..."."""
    command: str
    """Trains such a network."""
    config: type[NetworkConfig]
    network: Callable[[Any], UNet]
    """One network of a configuration, with random weights."""
    whole: Callable[[Any], nn.Module]
    """All networks of a configuration: what a folder holds."""
    batch: Callable[[Any, range], ImageBatch]
    """The simulated images of some numbers, and their marks."""


def _atom_network(config: AtomNetworkConfig) -> UNet:
    return UNet(config.width)


def _wall_network(config: WallNetworkConfig) -> UNet:
    return UNet(config.width, n_in=N_INPUTS, n_out=N_MARKS, n_fine=config.fine_width)


def _wall_networks(config: WallNetworkConfig) -> nn.ModuleList:
    return nn.ModuleList(_wall_network(config) for _ in range(config.n_members))


ATOMS = Task(
    "atoms",
    "atoms",
    "train-finder",
    AtomNetworkConfig,
    _atom_network,
    _atom_network,
    batch_of_atoms,
)
WALLS = Task(
    "walls",
    "domain walls",
    "train-walls",
    WallNetworkConfig,
    _wall_network,
    _wall_networks,
    batch_of_walls,
)


def task_of(config: NetworkConfig) -> Task:
    """The task of a configuration."""
    return next(task for task in (ATOMS, WALLS) if isinstance(config, task.config))
