"""HAADF-like frames of a lattice with vacancies, dopants and disorder; position and element of every atom are known."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import AtomFramesConfig
from invae.synthetic import crystal
from invae.synthetic.scene import Scene, Simulator, stream
from invae.synthetic.stem_image import ELEMENTS, AtomSeries, field_of_view, series_scene

LATTICES = {
    "square": crystal.square,
    "hexagonal": crystal.hexagonal,
    "honeycomb": crystal.honeycomb,
}
"""Lattices by name, as functions of the spacing [nm]."""


def scene(config: AtomFramesConfig, *, seed: int) -> Scene:
    """The atoms, which are the same in every frame, and the rendering of frames.

    `image` is in counts; the ground truth holds the atoms of every frame.
    """
    lattice = LATTICES[config.lattice](config.spacing).shifted(stream(seed, "order").random(2))
    lattice = lattice.rotated(np.deg2rad(config.angle))
    sites, sublattice = lattice.sites(*field_of_view(config.imaging))
    generator = stream(seed, "order", 1)
    u = config.disorder * generator.standard_normal(sites.shape)
    occupied = generator.random(len(sites)) >= config.vacancies
    is_dopant = generator.random(len(sites)) < config.doped
    own = np.array([ELEMENTS.index(name) for name in config.elements])
    species = np.where(is_dopant, ELEMENTS.index(config.dopant), own[sublattice % len(own)])
    truth = xr.Dataset(
        {
            "sublattice": (
                "atom",
                sublattice.astype(np.int8),
                dims.attrs("sublattice of the site"),
            ),
            "foreign": ("atom", is_dopant, dims.attrs("whether the atom is a dopant")),
        }
    )
    shape = (config.imaging.n_frames, len(sites))
    atoms = AtomSeries(
        np.broadcast_to(sites + u, (*shape, 2)),
        np.broadcast_to(species, shape),
        np.broadcast_to(occupied, shape),
        truth,
    )
    return series_scene("atoms", config, config.imaging, atoms, seed=seed)


SIMULATOR = Simulator("atoms", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
