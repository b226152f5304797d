"""HAADF-like frames of graphene under the beam: silicon hops, carbon is lost, and every atom is known."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import GrapheneMovieConfig
from invae.synthetic import crystal
from invae.synthetic.scene import Scene, Simulator, stream
from invae.synthetic.stem_image import ELEMENTS, AtomSeries, field_of_view, series_scene

CARBON, SILICON = ELEMENTS.index("C"), ELEMENTS.index("Si")


def scene(config: GrapheneMovieConfig, *, seed: int) -> Scene:
    """What happens to the atoms, and how frames are made of it.

    `image` is in counts; known are the atoms of every frame.
    """
    lattice = crystal.graphene().moved(stream(seed, "order").random(2))
    lattice = lattice.turned(np.deg2rad(config.angle))
    sites, sublattice = lattice.sites(*field_of_view(config.imaging))
    species, occupied = history(sites, config, seed=seed)
    walk = displacements(species.shape, config, seed=seed)
    known = xr.Dataset(
        {
            "sublattice": (
                "atom",
                sublattice.astype(np.int8),
                dims.attrs("sublattice of the site"),
            ),
            "u": (("frame", "atom", "axis"), walk, dims.attrs("displacement from the site", "nm")),
        }
    )
    atoms = AtomSeries(sites + walk, species, occupied, known)
    return series_scene("graphene movie", config, config.imaging, atoms, seed=seed)


def history(
    places: np.ndarray, config: GrapheneMovieConfig, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Species and whether it is occupied, for every site and frame (frame, atom)."""
    shape = (config.imaging.n_frames, len(places))
    species, occupied = np.full(shape, CARBON), np.ones(shape, bool)
    first = stream(seed, "width")
    species[0, first.permutation(len(places))[: config.n_silicon]] = SILICON
    for frame in range(1, len(species)):
        chance = stream(seed, "width", frame)
        species[frame] = species[frame - 1]
        lost = (chance.random(len(places)) < config.loss) & (species[frame] == CARBON)
        occupied[frame] = occupied[frame - 1] & ~lost
        _hop(species[frame], occupied[frame], places, hop=config.hop, chance=chance)
    return species, occupied


def displacements(shape: tuple[int, int], config: GrapheneMovieConfig, *, seed: int) -> np.ndarray:
    """How far the beam has moved what is on every site (frame, atom, axis) [nm]; nothing in the first frame."""
    steps = [
        stream(seed, "shear", frame).standard_normal((shape[1], 2)) for frame in range(shape[0])
    ]
    steps[0] = np.zeros((shape[1], 2))
    return config.disorder * np.cumsum(steps, axis=0)


def _hop(
    species: np.ndarray,
    occupied: np.ndarray,
    places: np.ndarray,
    *,
    hop: float,
    chance: np.random.Generator,
) -> None:
    """Silicon changes places with a carbon neighbour, or moves onto an empty site; in place."""
    for site in np.flatnonzero(species == SILICON):
        near = np.linalg.norm(places - places[site], axis=1) < 1.2 * crystal.BOND
        free = np.flatnonzero(near & (species == CARBON))
        if chance.random() < hop and len(free):
            pair = [site, chance.choice(free)]
            species[pair], occupied[pair] = species[pair[::-1]], occupied[pair[::-1]]


SIMULATOR = Simulator("graphene movie", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
