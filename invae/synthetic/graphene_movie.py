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
    """The history of the atoms, and the rendering of frames.

    `image` is in counts; the ground truth holds the atoms of every frame.
    """
    lattice = crystal.graphene().shifted(stream(seed, "order").random(2))
    lattice = lattice.rotated(np.deg2rad(config.angle))
    sites, sublattice = lattice.sites(*field_of_view(config.imaging))
    species, occupied = history(sites, config, seed=seed)
    walk = displacements(species.shape, config, seed=seed)
    truth = xr.Dataset(
        {
            "sublattice": (
                "atom",
                sublattice.astype(np.int8),
                dims.attrs("sublattice of the site"),
            ),
            "u": (("frame", "atom", "axis"), walk, dims.attrs("displacement from the site", "nm")),
        }
    )
    atoms = AtomSeries(sites + walk, species, occupied, truth)
    return series_scene("graphene movie", config, config.imaging, atoms, seed=seed)


def history(
    sites: np.ndarray, config: GrapheneMovieConfig, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Species and occupation of every site in every frame (frame, atom)."""
    shape = (config.imaging.n_frames, len(sites))
    species, occupied = np.full(shape, CARBON), np.ones(shape, bool)
    first = stream(seed, "width")
    species[0, first.permutation(len(sites))[: config.n_silicon]] = SILICON
    for frame in range(1, len(species)):
        generator = stream(seed, "width", frame)
        species[frame] = species[frame - 1]
        lost = (generator.random(len(sites)) < config.loss) & (species[frame] == CARBON)
        occupied[frame] = occupied[frame - 1] & ~lost
        _hop(species[frame], occupied[frame], sites, hop=config.hop, generator=generator)
    return species, occupied


def displacements(shape: tuple[int, int], config: GrapheneMovieConfig, *, seed: int) -> np.ndarray:
    """Displacement of the atom on every site by the beam (frame, atom, axis) [nm]; zero in the first frame."""
    steps = [
        stream(seed, "shear", frame).standard_normal((shape[1], 2)) for frame in range(shape[0])
    ]
    steps[0] = np.zeros((shape[1], 2))
    return config.disorder * np.cumsum(steps, axis=0)


def _hop(
    species: np.ndarray,
    occupied: np.ndarray,
    sites: np.ndarray,
    *,
    hop: float,
    generator: np.random.Generator,
) -> None:
    """Exchange silicon with a carbon neighbour, or move it onto an empty site; in place."""
    for site in np.flatnonzero(species == SILICON):
        near = np.linalg.norm(sites - sites[site], axis=1) < 1.2 * crystal.BOND
        free = np.flatnonzero(near & (species == CARBON))
        if generator.random() < hop and len(free):
            pair = [site, generator.choice(free)]
            species[pair], occupied[pair] = species[pair[::-1]], occupied[pair[::-1]]


SIMULATOR = Simulator("graphene movie", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
