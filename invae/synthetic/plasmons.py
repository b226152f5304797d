"""Recordings of plasmonic nanoparticles: images, spectra at known places in them, and the ground truth of both.

`image (frame, y, x)` has one assembly or cluster per frame. `spectrum (point, energy)` is recorded at `point_frame`,
`point_y_nm` and `point_x_nm`, where y and x are those of the image.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.config.plasmons import AssemblyConfig, PlasmonsConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable
from invae.synthetic.plasmon_specimens import (
    TRUTH_OF_PARTICLES,
    Specimen,
    clean_image,
    clean_spectra,
    energies_of,
    specimens,
    spectrum_sd,
    stream,
)
from invae.synthetic.scene import TRUTH, receipt_of_scene

SHARD_BYTES = 4e6
"""Largest file before compression; a simulation that is killed loses the frames of one such file."""
POINT, ENERGY, PARTICLE = "point", "energy", "particle"
"""Dimensions beside those of images."""


def simulate(
    target: Path,
    *,
    config: PlasmonsConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a recording as a Zarr store: images and spectra at the root, ground truth in the group `truth`.

    An interrupted run resumes with the first missing block.
    """
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    everything, arrays = specimens(config, seed=seed), stored_arrays(config)
    frame_bytes = max(array.per_frame * array.variable.item_bytes for array in arrays)
    shard = max(1, min(len(everything), int(SHARD_BYTES // frame_bytes)))
    for array in arrays:
        array.lay_out(partial, shard=shard)
    for group, part in zip(("", TRUTH), static_parts(everything, config, seed=seed), strict=True):
        store.write_dataset(partial, part, group=group)
    for block in store.blocks(len(everything), shard):
        if not all(array.is_written(partial, block, shard=shard) for array in arrays):
            frames = []
            for number in range(block.start, block.stop):
                frames.append(record(everything[number], config, seed=seed, number=number))
                progress(number, len(everything))
            for array in arrays:
                array.write(partial, _joined(frames, array), block, shard=shard)
        progress(block.stop, len(everything))
    store.publish(partial, target, receipt)


def make_receipt(target: Path, *, config: PlasmonsConfig, seed: int) -> Receipt:
    """The receipt of a recording before it is computed."""
    return receipt_of_scene("plasmons", target, config=config, seed=seed, module=__name__)


def simulate_dataset(config: PlasmonsConfig, *, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A recording and its ground truth in memory, with the values that `simulate` stores."""
    everything = specimens(config, seed=seed)
    frames = [record(one, config, seed=seed, number=n) for n, one in enumerate(everything)]
    recording, truth = static_parts(everything, config, seed=seed)
    for array in stored_arrays(config):
        part = truth if array.group == TRUTH else recording
        part[array.name] = (
            array.variable.dims,
            _joined(frames, array),
            dict(array.variable.attrs),
        )
    return recording, truth


def record(
    one: Specimen, config: PlasmonsConfig, *, seed: int, number: int
) -> dict[str, np.ndarray]:
    """Image and spectra of a specimen and their truth: values of the arrays of `stored_arrays`, by their place."""
    clean = clean_spectra(one.particles, one.points, config)
    sd = spectrum_sd(clean, config)
    noise = stream(seed, "spectrum", number).standard_normal(clean.shape)
    image = clean_image(one.particles, config)
    image_noise = stream(seed, "image", number).standard_normal(image.shape)
    return {
        "image": (image + config.sample.image_noise * image_noise)[None],
        "spectrum": clean + sd * noise,
        "truth/spectrum": clean,
        "truth/spectrum_sd": np.full(len(clean), sd),
    }


@dataclass(frozen=True)
class StoredArray:
    """An array of a store that has the same number of items for every frame."""

    group: str
    name: str
    per_frame: int
    variable: Variable

    @property
    def place(self) -> str:
        """Group and name."""
        return f"{self.group}/{self.name}".lstrip("/")

    def lay_out(self, path: Path, *, shard: int) -> None:
        """Create the array, with the items of `shard` frames in one file."""
        layout = {self.name: self.variable}
        store.lay_out(path, layout, shard=shard * self.per_frame, group=self.group)

    def is_written(self, path: Path, block: slice, *, shard: int) -> bool:
        """Whether a block of frames is written."""
        start, shard = block.start * self.per_frame, shard * self.per_frame
        return store.block_is_written(path, [self.name], start=start, shard=shard, group=self.group)

    def write(self, path: Path, values: np.ndarray, block: slice, *, shard: int) -> None:
        """Write a block of frames."""
        start, shard = block.start * self.per_frame, shard * self.per_frame
        arrays = {self.name: values}
        store.write_block(path, arrays, start=start, shard=shard, group=self.group)


def stored_arrays(config: PlasmonsConfig) -> list[StoredArray]:
    """The arrays that are computed frame by frame."""
    sample, per_frame = config.sample, config.sample.n_points
    n_points = sample.n_frames * per_frame
    thickness = dims.attrs("projected thickness over mean diameter", quantity="intensity")
    image = Variable(
        dims.IMAGE, (sample.n_frames, sample.pixels, sample.pixels), np.float32, thickness
    )
    quantity, units = spectral_quantity(config)
    spectrum = Variable(
        (POINT, ENERGY), (n_points, sample.n_energies), np.float32, dims.attrs(quantity, units)
    )
    clean = replace(spectrum, attrs=dims.attrs(f"{quantity} without noise", units))
    sd = Variable(
        (POINT,), (n_points,), np.float64, dims.attrs("sd of the noise of the spectrum", units)
    )
    return [
        StoredArray("", "image", 1, image),
        StoredArray("", "spectrum", per_frame, spectrum),
        StoredArray(TRUTH, "spectrum", per_frame, clean),
        StoredArray(TRUTH, "spectrum_sd", per_frame, sd),
    ]


def spectral_quantity(config: PlasmonsConfig) -> tuple[str, str]:
    """What the spectra show, and its unit."""
    if isinstance(config.sample, AssemblyConfig):
        return "probability of an energy loss", "1/eV"
    if config.sample.spectra == "normalised":
        return "extinction relative to its maximum", "1"
    return "extinction cross-section", "nm^2"


def static_parts(
    everything: Sequence[Specimen], config: PlasmonsConfig, *, seed: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Axes, places and attributes of a recording, and the particles as its ground truth."""
    settings = json.dumps({"config": config.model_dump(mode="json"), "seed": seed})
    attrs: dict[str, Any] = {"modality": "extinction", "format": "simulated", "notes": []}
    if isinstance(config.sample, AssemblyConfig):
        attrs |= {"modality": "EELS", "beam_energy_keV": config.sample.beam_energy}
    pixels = np.arange(config.sample.pixels) * config.pixel_size
    frame = ("frame", np.arange(len(everything)), dims.attrs("number of the image"))
    energy = (ENERGY, energies_of(config), dims.attrs("energy", "eV"))
    axes = {
        "frame": frame,
        "y": ("y", pixels, dims.attrs("y, downwards", "nm")),
        "x": ("x", pixels, dims.attrs("x", "nm")),
        "energy": energy,
    }
    recording = xr.Dataset(
        coords=axes | places(everything, config), attrs={**attrs, "metadata": settings}
    )
    return recording, particles_as_truth(everything).assign_coords(
        frame=frame, energy=energy
    ).assign_attrs(sample=config.sample.kind, settings=settings)


def places(everything: Sequence[Specimen], config: PlasmonsConfig) -> dict[str, Any]:
    """Coordinates of the points: image, position in it, specimen, and the place in a grid."""
    n_points = config.sample.n_points
    frame = np.repeat(np.arange(len(everything), dtype=np.int32), n_points)
    y, x = np.concatenate([one.points for one in everything]).T
    coords = {
        "point_frame": (frame, dims.attrs("number of the image that shows the point")),
        "point_y_nm": (y, dims.attrs("y of the point in its image", "nm")),
        "point_x_nm": (x, dims.attrs("x of the point in its image", "nm")),
        "specimen": (frame, dims.attrs("number of the assembly or cluster")),
    }
    if isinstance(config.sample, AssemblyConfig) and config.sample.grid is not None:
        index = np.indices((config.sample.grid, config.sample.grid), np.int32).reshape(2, -1)
        row, column = np.tile(index, len(everything))
        coords["grid_row"] = (row, dims.attrs("row of the point in the grid of its image"))
        coords["grid_column"] = (column, dims.attrs("column of the point in the grid of its image"))
    return {name: (POINT, values, attrs) for name, (values, attrs) in coords.items()}


def particles_as_truth(everything: Sequence[Specimen]) -> xr.Dataset:
    """The particles of every frame (frame, particle), and their number (frame,)."""
    number = np.array([len(one.particles) for one in everything])
    table = np.full((len(TRUTH_OF_PARTICLES), len(everything), max(number, default=0)), np.nan)
    for frame, particles in enumerate(one.particles for one in everything):
        table[:, frame, : len(particles)] = (
            *particles.positions.T,
            particles.radius,
            particles.plasma_energy,
            particles.brightness,
        )
    truth = xr.Dataset(
        {"n_particles": ("frame", number, dims.attrs("number of particles of the specimen"))}
    )
    return truth.assign(
        {
            name: (("frame", PARTICLE), values, dims.attrs(long_name, units))
            for (name, (long_name, units)), values in zip(
                TRUTH_OF_PARTICLES.items(), table, strict=True
            )
        }
    )


def _joined(frames: Sequence[dict[str, np.ndarray]], array: StoredArray) -> np.ndarray:
    """The values of an array for successive frames."""
    values = np.concatenate([frame[array.place] for frame in frames])
    return values.astype(array.variable.dtype)
