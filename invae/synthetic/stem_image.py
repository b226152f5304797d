"""HAADF-like images of atoms: Gaussian spots with the brightness Z^1.7, counted electrons, drift and jitter of the scan."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import ImagingConfig
from invae.config.schema import Config
from invae.synthetic.sample import smooth_noise
from invae.synthetic.scene import Scene, stream

ELEMENTS = ("C", "Si", "S2", "Ti", "V", "Fe", "Sr", "Mo", "W", "Bi")
"""Names of the values of `species`; a number counts the atoms of a column."""
CONTRAST = 1.7
"""Exponent of the atomic number. Source: Krivanek et al. 2010, doi:10.1038/nature08879, who measured 1.64 and expect up to 1.7."""
BRIGHTNESS = np.array([6, 14, 0, 22, 23, 26, 38, 42, 74, 83]) ** CONTRAST
"""Brightness of every element, in arbitrary units."""
BRIGHTNESS[ELEMENTS.index("S2")] = 2 * 16**CONTRAST
REACH = 5
"""Radius to which an atom is drawn [sd]."""
TAILS_SD = 3
"""Sd of the tails of the probe [sd of an atom]."""
DRAWN_AT_ONCE = 4e6
"""Largest number of pixels around atoms in memory at once, so that memory stays bounded on large frames."""


@dataclass(frozen=True)
class AtomSeries:
    """Atoms in every frame, before the drift."""

    positions: np.ndarray
    """(frame, atom, axis) [nm] from the first pixel of the frame."""
    species: np.ndarray
    """(frame, atom), an index of `ELEMENTS`."""
    occupied: np.ndarray
    """(frame, atom)"""
    truth: xr.Dataset
    """Further ground truth."""


def field_of_view(config: ImagingConfig) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the region that the scan can reach while it drifts (axis,) [nm]."""
    frame = np.array([config.rows, config.columns]) * config.pixel_size
    widest = config.atom_sd * (TAILS_SD if config.tails else 1)
    margin = config.drift * config.n_frames * config.pixel_size + REACH * widest
    return -margin * np.ones(2), frame + margin


def series_scene(
    name: str, config: Config, imaging: ImagingConfig, atoms: AtomSeries, *, seed: int
) -> Scene:
    """Frames of a series of atoms with counted electrons, and their ground truth."""
    drift = drift_of(imaging, seed)
    brightness = BRIGHTNESS[atoms.species] / BRIGHTNESS[atoms.species].min()
    brightness = imaging.dose * atoms.occupied * brightness

    def clean_images(block: slice) -> np.ndarray:
        counts = [
            stream(seed, "noise", frame).poisson(
                expected(atoms.positions[frame], brightness[frame], imaging, seed=seed, frame=frame)
            )
            for frame in range(block.start, block.stop)
        ]
        return np.stack(counts).astype(np.float32)

    return Scene(
        name=name,
        config=config,
        seed=seed,
        shape=(imaging.rows, imaging.columns),
        truth=_truth(atoms, imaging, drift),
        clean_images=clean_images,
        noise=np.zeros(imaging.n_frames),
        pixel_size=imaging.pixel_size,
    )


def drift_of(config: ImagingConfig, seed: int) -> np.ndarray:
    """Drift of the scan over the sample during one frame (axis,) [px]."""
    angle = stream(seed, "angle").uniform(0, 2 * np.pi)
    return config.drift * np.array([np.sin(angle), np.cos(angle)])


def expected(
    positions: np.ndarray, brightness: np.ndarray, config: ImagingConfig, *, seed: int, frame: int
) -> np.ndarray:
    """Mean counts of a frame (y, x); every line is scanned later than the line above, and jitters."""
    sd = config.atom_sd / config.pixel_size
    occupied = brightness > 0
    centres, brightness = positions[occupied] / config.pixel_size, brightness[occupied]
    rows = np.arange(config.rows)
    lines = np.outer(frame + rows / config.rows, drift_of(config, seed))
    lines[:, 0] += rows
    lines[:, 1] += config.jitter * stream(seed, "shift", frame).standard_normal(config.rows)
    image = background_of(config, seed)
    _add_spots(image, centres, (1 - config.tails) * brightness, lines, sd=sd)
    if config.tails:
        _add_spots(image, centres, config.tails * brightness, lines, sd=TAILS_SD * sd)
    return image


def _add_spots(
    image: np.ndarray, centres: np.ndarray, brightness: np.ndarray, lines: np.ndarray, *, sd: float
) -> None:
    """Add Gaussians to an image whose lines begin at (y, x), in place; all in pixels."""
    at_once = max(1, int(DRAWN_AT_ONCE / (2 * REACH * sd + 2) ** 2))
    for first in range(0, len(centres), at_once):
        part = slice(first, first + at_once)
        _add_some(image, centres[part], brightness[part], lines, sd=sd)


def _add_some(
    image: np.ndarray, centres: np.ndarray, brightness: np.ndarray, lines: np.ndarray, *, sd: float
) -> None:
    """Add some Gaussians to an image, all at once, in place."""
    reach = np.arange(-math.ceil(REACH * sd), math.ceil(REACH * sd) + 1)
    row = np.searchsorted(lines[:, 0], centres[:, 0])[:, None] + reach
    in_image = (row >= 0) & (row < len(image))
    atom, row = np.nonzero(in_image)[0], row[in_image]
    line_height = brightness[atom] * np.exp(-(((centres[atom, 0] - lines[row, 0]) / sd) ** 2) / 2)
    centre = centres[atom, 1] - lines[row, 1]
    column = np.round(centre).astype(int)[:, None] + reach
    value = line_height[:, None] * np.exp(-(((column - centre[:, None]) / sd) ** 2) / 2)
    in_line = (column >= 0) & (column < image.shape[1])
    index = (row[:, None] * image.shape[1] + column)[in_line]
    image += np.bincount(index, value[in_line], minlength=image.size).reshape(image.shape)


def background_of(config: ImagingConfig, seed: int) -> np.ndarray:
    """Mean counts without atoms (y, x), never below 0; the background does not drift."""
    shape = (config.rows, config.columns)
    if config.uneven == 0:
        return np.full(shape, config.background)
    length = config.uneven_length / config.pixel_size
    field = smooth_noise(shape, length, stream(seed, "background"))
    return config.background * np.clip(1 + config.uneven * field, 0, None)


def positions_in_frames(
    positions: np.ndarray, config: ImagingConfig, drift: np.ndarray
) -> np.ndarray:
    """Positions (frame, atom, axis) [px] of atoms (frame, atom, axis) [nm] in every frame, without the jitter."""
    frames = np.arange(config.n_frames)[:, None]
    y, x = np.moveaxis(positions / config.pixel_size, -1, 0)
    row = (y - drift[0] * frames) / (1 + drift[0] / config.rows)
    return np.stack((row, x - drift[1] * (frames + row / config.rows)), axis=-1)


def _truth(atoms: AtomSeries, config: ImagingConfig, drift: np.ndarray) -> xr.Dataset:
    in_frames = positions_in_frames(atoms.positions, config, drift)
    over = ("frame", "atom")
    species = dims.flags(ELEMENTS, "element on the site")
    return atoms.truth.assign(
        {
            "atom_y": (over, in_frames[..., 0], dims.attrs("y of the atom in the frame", "pixel")),
            "atom_x": (over, in_frames[..., 1], dims.attrs("x of the atom in the frame", "pixel")),
            "species": (over, atoms.species.astype(np.int8), species),
            "occupied": (over, atoms.occupied, dims.attrs("whether the site is occupied")),
            "drift": ("axis", drift, dims.attrs("drift of the scan during a frame", "pixel")),
        }
    ).assign_coords(axis=["y", "x"])
