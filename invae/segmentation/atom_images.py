"""Simulated images of atoms for training, all different, and the marks that a network learns to predict."""

from dataclasses import dataclass

import numpy as np
import torch

from invae.config import AtomFramesConfig
from invae.config.segment import AtomNetworkConfig, AtomVarietyConfig
from invae.segmentation.learner import ImageBatch
from invae.synthetic import atoms

PIXEL = 0.02
"""Side of a pixel [nm]; the scale has no influence, because all lengths are drawn in pixels."""
LATTICES = (("square", 1), ("hexagonal", 1), ("honeycomb", 1), ("honeycomb", 2))
"""Lattices, and the number of sublattices with different elements."""
ELEMENTS = (("C", "Si"), ("S2", "Mo"), ("Ti", "Mo"), ("Fe", "Mo"), ("Si", "Ti"))
"""Pairs on two sublattices; beside a far brighter neighbour a faint atom would be invisible."""
HEAVIER = {"C": "Si", "Si": "Ti", "S2": "Mo", "Ti": "Mo", "Fe": "W", "Mo": "W"}
"""Foreign atom in the lattice of an element."""
RARE = 3
"""Power of a uniform draw, by which high shares of vacancies and foreign atoms are rare."""


@dataclass(frozen=True)
class AtomImage:
    """One image, and the positions of its atoms."""

    image: np.ndarray
    """(y, x) counts."""
    places: np.ndarray
    """(atom, axis) [px], within the frame."""
    spacing: float
    """Of the lattice [px]."""


def batch_of_atoms(config: AtomNetworkConfig, numbers: range) -> ImageBatch:
    """The simulated images of some numbers, and their marks."""
    simulated = [draw(config.images, seed=config.seed, number=number) for number in numbers]
    size = config.images.size
    images = np.stack([standardise(one.image) for one in simulated])
    targets = np.stack([marks(one.places, size=size, sd=config.mark_sd) for one in simulated])
    return ImageBatch(torch.from_numpy(images)[:, None], torch.from_numpy(targets)[:, None])


def standardise(image: np.ndarray) -> np.ndarray:
    """The image (y, x) with mean 0 and sd 1; zeros if it is constant."""
    sd = image.std()
    return ((image - image.mean()) / (sd if sd > 0 else 1)).astype(np.float32)


def draw(config: AtomVarietyConfig, *, seed: int, number: int) -> AtomImage:
    """The image of a seed and a number."""
    rng = np.random.default_rng([seed, number])
    scene_config = scene_of(config, rng)
    scene = atoms.scene(scene_config, seed=int(rng.integers(2**31)))
    truth = scene.truth.isel(frame=0)
    places = np.stack((truth["atom_y"], truth["atom_x"]), axis=-1)
    inside = ((places >= 0) & (places <= config.size - 1)).all(1) & truth["occupied"].to_numpy()
    return AtomImage(scene.images(slice(0, 1))[0], places[inside], scene_config.spacing / PIXEL)


def scene_of(config: AtomVarietyConfig, rng: np.random.Generator) -> AtomFramesConfig:
    """A lattice and its imaging, drawn from the ranges."""
    lattice, n_elements = LATTICES[rng.integers(len(LATTICES))]
    elements = ELEMENTS[rng.integers(len(ELEMENTS))][:n_elements]
    spacing = _log_uniform(config.spacing, rng)
    sd = max(0.5, spacing * _log_uniform(config.atom_sd, rng))
    peak = _log_uniform(config.electrons, rng) / (2 * np.pi * sd**2)
    drift, jitter, uneven = (
        rng.random() * limit for limit in (config.drift, config.jitter, config.uneven)
    )
    imaging = {
        "n_frames": 1,
        "rows": config.size,
        "columns": config.size,
        "pixel_size": PIXEL,
        "dose": peak,
        "background": peak * _log_uniform(config.background, rng),
        "uneven": uneven,
        "uneven_length": PIXEL * spacing * rng.uniform(1, 2.5),
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
            "angle": rng.uniform(0, 360),
            "disorder": PIXEL * spacing * config.disorder * rng.random(),
            "vacancies": config.vacancies * rng.random() ** RARE,
            "doped": config.doped * rng.random() ** RARE,
            "dopant": HEAVIER[elements[0]],
        }
    )


def marks(places: np.ndarray, *, size: int, sd: float) -> np.ndarray:
    """Target of the network (y, x): a Gaussian of height 1 and that sd [px] on every atom; the highest one counts."""
    axis = np.arange(size)
    rows, columns = (np.exp(-(((axis - at[:, None]) / sd) ** 2) / 2) for at in places.T)
    return np.minimum(rows.T @ columns, 1).astype(np.float32)


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
