"""HAADF-like frames of a perovskite with a ferroelectric wall: where every atom is, and how far it moved."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import LatticeConfig
from invae.synthetic import crystal
from invae.synthetic.crystal import along
from invae.synthetic.scene import Scene, Simulator, stream
from invae.synthetic.stem_image import ELEMENTS, AtomSeries, field_of_view, series_scene

SITES = np.array([ELEMENTS.index("Bi"), ELEMENTS.index("Fe")])
"""Elements on the corner and in the middle of the cell."""


def scene(config: LatticeConfig, *, seed: int) -> Scene:
    """The displaced atoms, and how frames are made of them.

    `image` is in counts; known are the atoms, and `u (atom, axis)` [nm] of each.
    """
    imaging = config.imaging
    ideal = crystal.perovskite(config.cell).moved(stream(seed, "order").random(2))
    places, index = ideal.turned(np.deg2rad(config.angle)).sites(*field_of_view(imaging))
    distance = from_wall(places, config)
    u = (index == 1)[:, None] * displacement(distance, config)
    known = xr.Dataset(
        {
            "u": (("atom", "axis"), u, dims.attrs("displacement of the atom", "nm")),
            "wall_distance": ("atom", distance, dims.attrs("distance to the wall, signed", "nm")),
            "sublattice": ("atom", index.astype(np.int8), dims.attrs("sublattice of the site")),
        }
    )
    shape = (imaging.n_frames, len(places))
    species = np.broadcast_to(SITES[index], shape)
    moved = np.broadcast_to(places + u, (*shape, 2))
    atoms = AtomSeries(moved, species, np.ones(shape, bool), known)
    return series_scene("lattice", config, imaging, atoms, seed=seed)


def from_wall(places: np.ndarray, config: LatticeConfig) -> np.ndarray:
    """Signed distance of places (..., axis) [nm] from the wall; positive to the right of its direction."""
    middle = np.array([config.imaging.rows, config.imaging.columns]) * config.imaging.pixel_size / 2
    normal = along(np.deg2rad(config.wall_angle - 90))
    return (places - middle) @ normal


def displacement(distance: np.ndarray, config: LatticeConfig) -> np.ndarray:
    """Displacement (..., axis) [nm] at distances from the wall [nm]: u0 tanh(distance / width)."""
    size = config.displacement * np.tanh(distance / config.wall_width)
    return size[..., None] * along(np.deg2rad(config.displacement_angle))


SIMULATOR = Simulator("lattice", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
