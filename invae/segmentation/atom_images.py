"""Simulated images of atoms to learn from, no two alike, and the marks that a network is to leave on them."""

from dataclasses import dataclass

import numpy as np

from invae.config import AtomFramesConfig
from invae.config.segment import AtomVarietyConfig
from invae.synthetic import atoms

PIXEL = 0.02
"""Side of a pixel [nm]: the scale does not matter, all lengths are drawn in pixels."""
LATTICES = (("square", 1), ("hexagonal", 1), ("honeycomb", 1), ("honeycomb", 2))
"""Lattices, and on how many of their sublattices elements differ."""
ELEMENTS = (("C", "Si"), ("S2", "Mo"), ("Ti", "Mo"), ("Fe", "Mo"), ("Si", "Ti"))
"""Pairs on two sublattices; with a far brighter neighbour a faint atom could not be seen."""
HEAVIER = {"C": "Si", "Si": "Ti", "S2": "Mo", "Ti": "Mo", "Fe": "W", "Mo": "W"}
"""Foreign atoms in a lattice of an element."""
RARE = 3
"""Power of an even draw that makes high shares of vacancies and foreign atoms rare."""


@dataclass(frozen=True)
class AtomImage:
    """One image, and where its atoms are."""

    image: np.ndarray
    """(y, x) counts."""
    places: np.ndarray
    """(atom, axis) [px], without those beyond the frame."""
    spacing: float
    """Of the lattice [px]."""


def draw(config: AtomVarietyConfig, *, seed: int, number: int) -> AtomImage:
    """The image that a seed and a number stand for."""
    chance = np.random.default_rng([seed, number])
    scene = scene_of(config, chance)
    made = atoms.scene(scene, seed=int(chance.integers(2**31)))
    known = made.truth.isel(frame=0)
    places = np.stack((known["atom_y"], known["atom_x"]), axis=-1)
    inside = ((places >= 0) & (places <= config.size - 1)).all(1) & known["occupied"].to_numpy()
    return AtomImage(made.images(slice(0, 1))[0], places[inside], scene.spacing / PIXEL)


def scene_of(config: AtomVarietyConfig, chance: np.random.Generator) -> AtomFramesConfig:
    """A lattice and its imaging, drawn from the ranges."""
    lattice, n_elements = LATTICES[chance.integers(len(LATTICES))]
    elements = ELEMENTS[chance.integers(len(ELEMENTS))][:n_elements]
    spacing = _between(config.spacing, chance)
    sd = max(0.5, spacing * _between(config.atom_sd, chance))
    peak = _between(config.electrons, chance) / (2 * np.pi * sd**2)
    drift, jitter, uneven = (
        chance.random() * limit for limit in (config.drift, config.jitter, config.uneven)
    )
    imaging = {
        "n_frames": 1,
        "rows": config.size,
        "columns": config.size,
        "pixel_size": PIXEL,
        "dose": peak,
        "background": peak * _between(config.background, chance),
        "uneven": uneven,
        "uneven_length": PIXEL * spacing * chance.uniform(1, 2.5),
        "atom_sd": PIXEL * sd,
        "drift": drift,
        "jitter": jitter,
    }
    return AtomFramesConfig.model_validate(
        {
            "imaging": imaging,
            "lattice": lattice,
            "spacing": PIXEL * spacing,
            "elements": elements,
            "angle": chance.uniform(0, 360),
            "disorder": PIXEL * spacing * config.disorder * chance.random(),
            "vacancies": config.vacancies * chance.random() ** RARE,
            "doped": config.doped * chance.random() ** RARE,
            "dopant": HEAVIER[elements[0]],
        }
    )


def marks(places: np.ndarray, *, size: int, sd: float) -> np.ndarray:
    """What a network is to say (y, x): 1 on an atom, falling off as a Gaussian of that sd [px]."""
    axis = np.arange(size)
    rows, columns = (np.exp(-(((axis - at[:, None]) / sd) ** 2) / 2) for at in places.T)
    return np.minimum(rows.T @ columns, 1).astype(np.float32)


def _between(limits: tuple[float, float], chance: np.random.Generator) -> float:
    return float(np.exp(chance.uniform(*np.log(limits))))
