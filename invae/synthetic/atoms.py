"""HAADF-like frames of a lattice with vacancies, foreign atoms and disorder: where every atom is, and what it is."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import AtomFramesConfig
from invae.progress import Progress, silent
from invae.provenance import Receipt
from invae.synthetic import crystal
from invae.synthetic.scene import Scene, receipt_of_scene, stream, write_scene
from invae.synthetic.stem_image import ELEMENTS, AtomSeries, field_of_view, series_scene

LATTICES = {
    "square": crystal.square,
    "hexagonal": crystal.hexagonal,
    "honeycomb": crystal.honeycomb,
}
"""Of a spacing [nm]."""


def draw(config: AtomFramesConfig, *, seed: int) -> xr.Dataset:
    """Frames in memory: `image (frame, y, x)` [count] and the atoms of every frame."""
    return scene(config, seed=seed).in_memory()


def simulate(
    target: Path,
    *,
    config: AtomFramesConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write frames as a Zarr store, block by block: images at the root, truth in group `truth`."""
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    write_scene(target, scene(config, seed=seed), receipt=receipt, progress=progress)


def make_receipt(target: Path, *, config: AtomFramesConfig, seed: int) -> Receipt:
    """The receipt of a lattice."""
    return receipt_of_scene("atoms", target, config=config, seed=seed)


def scene(config: AtomFramesConfig, *, seed: int) -> Scene:
    """The atoms, the same in every frame, and how frames are made of them."""
    lattice = LATTICES[config.lattice](config.spacing).moved(stream(seed, "order").random(2))
    lattice = lattice.turned(np.deg2rad(config.angle))
    sites, sublattice = lattice.sites(*field_of_view(config.imaging))
    chance = stream(seed, "order", 1)
    u = config.disorder * chance.standard_normal(sites.shape)
    occupied = chance.random(len(sites)) >= config.vacancies
    foreign = chance.random(len(sites)) < config.doped
    own = np.array([ELEMENTS.index(name) for name in config.elements])
    species = np.where(foreign, ELEMENTS.index(config.dopant), own[sublattice % len(own)])
    known = xr.Dataset(
        {
            "sublattice": (
                "atom",
                sublattice.astype(np.int8),
                dims.attrs("sublattice of the site"),
            ),
            "foreign": ("atom", foreign, dims.attrs("whether the atom is a foreign one")),
        }
    )
    shape = (config.imaging.n_frames, len(sites))
    atoms = AtomSeries(
        np.broadcast_to(sites + u, (*shape, 2)),
        np.broadcast_to(species, shape),
        np.broadcast_to(occupied, shape),
        known,
    )
    return series_scene("atoms", config, config.imaging, atoms, seed=seed)
