"""HAADF-like images of atoms: Gaussian spots as bright as Z^1.7, counted electrons, a scan that drifts and jitters."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import ImagingConfig
from invae.config.schema import Config
from invae.synthetic.scene import Scene, stream

ELEMENTS = ("C", "Si", "Fe", "Bi")
"""Names behind the values of `species`."""
NUMBERS = np.array([6, 14, 26, 83])
"""Atomic numbers of the elements."""
CONTRAST = 1.7
"""Exponent of the atomic number. Source: Krivanek et al. 2010, doi:10.1038/nature08879 (1.64 to 1.7)."""
REACH = 5
"""An atom is drawn out to so many sd."""


@dataclass(frozen=True)
class AtomSeries:
    """Atoms under an undrifted frame; places are (atom, axis) [nm] from its first pixel."""

    places: np.ndarray
    species: np.ndarray
    """(frame, atom), an index of `ELEMENTS`."""
    occupied: np.ndarray
    """(frame, atom)"""
    known: xr.Dataset
    """What else is known."""


def field_of_view(config: ImagingConfig) -> tuple[np.ndarray, np.ndarray]:
    """Corners of all that the scan may meet while it drifts (axis,) [nm]."""
    frame = np.array([config.rows, config.columns]) * config.pixel_size
    margin = config.drift * config.n_frames * config.pixel_size + REACH * config.atom_sd
    return -margin * np.ones(2), frame + margin


def series_scene(
    name: str, config: Config, imaging: ImagingConfig, atoms: AtomSeries, *, seed: int
) -> Scene:
    """Frames of a series of atoms, counted electron by electron, and what is known of them."""
    drift = drift_of(imaging, seed)
    lightest = NUMBERS[atoms.species].min()
    brightness = imaging.dose * atoms.occupied * (NUMBERS[atoms.species] / lightest) ** CONTRAST

    def frames(block: slice) -> np.ndarray:
        counted = [
            stream(seed, "noise", frame).poisson(
                expected(atoms.places, brightness[frame], imaging, drift, seed=seed, frame=frame)
            )
            for frame in range(block.start, block.stop)
        ]
        return np.stack(counted).astype(np.float32)

    return Scene(
        name=name,
        config=config,
        seed=seed,
        shape=(imaging.rows, imaging.columns),
        truth=_truth(atoms, imaging, drift),
        pictures=frames,
        noise=np.zeros(imaging.n_frames),
        pixel_size=imaging.pixel_size,
    )


def drift_of(config: ImagingConfig, seed: int) -> np.ndarray:
    """Way of the scan over the sample during one frame (axis,) [px]."""
    angle = stream(seed, "angle").uniform(0, 2 * np.pi)
    return config.drift * np.array([np.sin(angle), np.cos(angle)])


def expected(
    places: np.ndarray,
    brightness: np.ndarray,
    config: ImagingConfig,
    drift: np.ndarray,
    *,
    seed: int,
    frame: int,
) -> np.ndarray:
    """Mean counts of a frame (y, x); every line is met later than the one above it, and jitters."""
    sd = config.atom_sd / config.pixel_size
    centres = places / config.pixel_size
    rows = np.arange(config.rows)
    lines = np.outer(frame + rows / config.rows, drift)
    lines[:, 0] += rows
    lines[:, 1] += config.jitter * stream(seed, "shift", frame).standard_normal(config.rows)
    image = np.full((config.rows, config.columns), config.background)
    for line, (y, x) in zip(image, lines, strict=True):
        near = np.abs(centres[:, 0] - y) < REACH * sd
        share = brightness[near] * np.exp(-(((centres[near, 0] - y) / sd) ** 2) / 2)
        offset = np.arange(config.columns) + x - centres[near, 1][:, None]
        line += share @ np.exp(-((offset / sd) ** 2) / 2)
    return image


def places_in_frames(places: np.ndarray, config: ImagingConfig, drift: np.ndarray) -> np.ndarray:
    """Where atoms appear in every frame (frame, atom, axis) [px], but for the jitter."""
    frames = np.arange(config.n_frames)[:, None]
    y, x = (places / config.pixel_size).T
    row = (y - drift[0] * frames) / (1 + drift[0] / config.rows)
    return np.stack((row, x - drift[1] * (frames + row / config.rows)), axis=-1)


def _truth(atoms: AtomSeries, config: ImagingConfig, drift: np.ndarray) -> xr.Dataset:
    seen = places_in_frames(atoms.places, config, drift)
    over = ("frame", "atom")
    species = dims.flags(ELEMENTS, "species of the site") | {"units": "1"}
    return atoms.known.assign(
        {
            "atom_y": (over, seen[..., 0], dims.attrs("y of the atom in the frame", "pixel")),
            "atom_x": (over, seen[..., 1], dims.attrs("x of the atom in the frame", "pixel")),
            "species": (over, atoms.species.astype(np.int8), species),
            "occupied": (over, atoms.occupied, dims.attrs("whether an atom is on the site")),
            "drift": ("axis", drift, dims.attrs("way of the scan during a frame", "pixel")),
        }
    ).assign_coords(axis=["y", "x"])
