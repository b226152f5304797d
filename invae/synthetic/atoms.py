"""HAADF-like frames of a lattice with vacancies, foreign atoms and disorder: where every atom is, and what it is."""

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
"""Of a spacing [nm]."""


def scene(config: AtomFramesConfig, *, seed: int) -> Scene:
    """The atoms, the same in every frame, and how frames are made of them.

    `image` is in counts; known are the atoms of every frame.
    """
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


SIMULATOR = Simulator("atoms", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
