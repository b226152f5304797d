"""HAADF-like frames of a perovskite with a ferroelectric wall; position and displacement of every atom are known."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import LatticeConfig
from invae.synthetic import crystal
from invae.synthetic.crystal import along
from invae.synthetic.scene import Scene, Simulator, stream
from invae.synthetic.stem_image import ELEMENTS, AtomSeries, field_of_view, series_scene

SITES = np.array([ELEMENTS.index("Bi"), ELEMENTS.index("Fe")])
"""Elements at the corner and at the centre of the cell."""


def scene(config: LatticeConfig, *, seed: int) -> Scene:
    """The displaced atoms, and the rendering of frames.

    `image` is in counts; the ground truth holds the atoms and their displacements `u (atom, axis)` [nm].
    """
    imaging = config.imaging
    ideal = crystal.perovskite(config.cell).shifted(stream(seed, "order").random(2))
    positions, index = ideal.rotated(np.deg2rad(config.angle)).sites(*field_of_view(imaging))
    distance = from_wall(positions, config)
    u = (index == 1)[:, None] * displacement(distance, config)
    truth = xr.Dataset(
        {
            "u": (("atom", "axis"), u, dims.attrs("displacement of the atom", "nm")),
            "wall_distance": ("atom", distance, dims.attrs("distance to the wall, signed", "nm")),
            "sublattice": ("atom", index.astype(np.int8), dims.attrs("sublattice of the site")),
        }
    )
    shape = (imaging.n_frames, len(positions))
    species = np.broadcast_to(SITES[index], shape)
    displaced = np.broadcast_to(positions + u, (*shape, 2))
    atoms = AtomSeries(displaced, species, np.ones(shape, bool), truth)
    return series_scene("lattice", config, imaging, atoms, seed=seed)


def from_wall(positions: np.ndarray, config: LatticeConfig) -> np.ndarray:
    """Signed distance of positions (..., axis) [nm] from the wall; positive to the right of its direction."""
    centre = np.array([config.imaging.rows, config.imaging.columns]) * config.imaging.pixel_size / 2
    normal = along(np.deg2rad(config.wall_angle - 90))
    return (positions - centre) @ normal


def displacement(distance: np.ndarray, config: LatticeConfig) -> np.ndarray:
    """Displacement (..., axis) [nm] at distances from the wall [nm]: u0 tanh(distance / width)."""
    size = config.displacement * np.tanh(distance / config.wall_width)
    return size[..., None] * along(np.deg2rad(config.displacement_angle))


SIMULATOR = Simulator("lattice", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
