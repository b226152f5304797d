"""A PFM series of switching ferroelectric domains with its ground truth.

The sample evolves in time while the tip scans it line by line. The scanned window drifts over the sample:
pixel p of frame k shows the same position as pixel p + drift[k] of the first frame.
"""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.config.synthetic import DomainsConfig, FieldConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable
from invae.synthetic.landau import wall_speed
from invae.synthetic.probe import CHANNELS, PAD, draw_faults, record
from invae.synthetic.sample import (
    Sample,
    built_in_field,
    edge_distance,
    make_sample,
    nucleate,
    pin_positions,
    stream,
    stripe_offset,
    wells,
    window,
)
from invae.synthetic.scene import is_written, receipt_of_scene
from invae.synthetic.wall_dynamics import SwitchingTimes, wall_curvature, wall_velocity

SHARD_BYTES = 32e6
STATES = "states"
"""Group of an unfinished store with the state of the sample at the start of the next block."""
SEAM = 2
"""Pixels around a padded frame that the interpolation needs."""

Arrays = dict[str, np.ndarray]


def simulate(
    target: Path,
    *,
    config: DomainsConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a series as a Zarr store: channels at the root, ground truth in the group `truth`.

    Memory is bounded by one shard; an interrupted run resumes with the first missing block.
    """
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    layouts = {"": channel_layout(config), "truth": truth_layout(config)}
    shard = store.shard_length(layouts[""] | layouts["truth"], shard_bytes=SHARD_BYTES)
    for group, coords in zip(layouts, static_parts(config, seed), strict=True):
        store.lay_out(partial, layouts[group], shard=shard, coords=coords, group=group)
    sample = make_sample(config, seed)
    for block in store.blocks(config.n_frames, shard):
        if not is_written(partial, layouts, start=block.start, shard=shard):
            _restore(partial, sample, frame=block.start)
            frames = list(_frames(sample, range(block.start, block.stop), config=config, seed=seed))
            _save_state(partial, sample, frame=block.stop)
            for index, group in enumerate(layouts):
                arrays = _stack([frame[index] for frame in frames])
                store.write_block(partial, arrays, start=block.start, shard=shard, group=group)
        _remove_states(partial, frame=block.start)
        progress(block.stop, config.n_frames)
    _remove_states(partial)
    store.publish(partial, target, receipt)


def simulate_dataset(config: DomainsConfig, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A series in memory: the recording and its ground truth."""
    sample = make_sample(config, seed)
    frames = list(_frames(sample, range(config.n_frames), config=config, seed=seed))
    recording, truth = (
        static.assign(
            {
                name: (layout[name].dims, values, dict(layout[name].attrs))
                for name, values in _stack([frame[index] for frame in frames]).items()
            }
        )
        for index, (static, layout) in enumerate(
            zip(
                static_parts(config, seed),
                (channel_layout(config), truth_layout(config)),
                strict=True,
            )
        )
    )
    return recording, truth


def make_receipt(target: Path, *, config: DomainsConfig, seed: int) -> Receipt:
    """The receipt of a simulated recording."""
    return receipt_of_scene("domains", target, config=config, seed=seed, module=__name__)


def channel_layout(config: DomainsConfig) -> dict[str, Variable]:
    """The recorded channels."""
    shape = (config.n_frames, config.rows, config.columns)
    return {
        name: Variable(dims.IMAGE, shape, np.float32, {**attrs, "direction": "trace"})
        for name, attrs in CHANNELS.items()
    }


def truth_layout(config: DomainsConfig) -> dict[str, Variable]:
    """The ground truth of every frame, in pixels of the frame."""
    images = {
        "polarization": ("out-of-plane polarization without tip and noise", np.float32),
        "wall": ("pixels on a zero line of the polarization", np.bool_),
        "non180": ("inside a lamella (non-180-degree domain)", np.bool_),
    }
    motion = {
        "wall_velocity": dims.attrs("normal velocity of a wall", "pixel", per="frame"),
        "wall_curvature": dims.attrs("curvature of a wall", "1/pixel"),
        "switching_time": dims.attrs(
            "time of the first change of sign within the frame, in pixels of frame 0", "frame"
        ),
    }
    rows = {"scar": "line with a scar", "tip_loss": "line recorded without contact"}
    shape = (config.n_frames, config.rows, config.columns)
    return {
        **{k: Variable(dims.IMAGE, shape, t, dims.attrs(name)) for k, (name, t) in images.items()},
        **{name: Variable(dims.IMAGE, shape, np.float32, attrs) for name, attrs in motion.items()},
        **{
            k: Variable(dims.IMAGE[:2], shape[:2], np.bool_, dims.attrs(name))
            for k, name in rows.items()
        },
        "effective_field": Variable(
            dims.IMAGE[:1],
            shape[:1],
            np.float64,
            dims.attrs("applied field minus the depolarization, at the start of the frame"),
        ),
    }


def static_parts(config: DomainsConfig, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Coordinates and attributes of the recording and of its truth, and everything known without a time step."""
    frames = np.arange(config.n_frames)
    coords = {
        "frame": ("frame", frames, dims.attrs("frame")),
        "time": ("frame", frames * config.frame_interval, dims.attrs("start of the frame", "s")),
        "y": ("y", np.arange(config.rows) * config.pixel_size, dims.attrs("y, downwards", "nm")),
        "x": ("x", np.arange(config.columns) * config.pixel_size, dims.attrs("x", "nm")),
    }
    settings = json.dumps({"config": config.model_dump(mode="json"), "seed": seed})
    recording = xr.Dataset(
        coords=coords,
        attrs={"modality": "PFM", "format": "simulated", "metadata": settings, "notes": []},
    )
    field = [applied_field(config.field, float(frame)) for frame in frames]
    if config.field.recorded:
        words = dims.attrs("applied field at the start of the frame")
        recording["applied_field"] = ("frame", field, words)
    truth = xr.Dataset(
        {
            "drift": (
                ("frame", "axis"),
                drift_path(config, seed),
                dims.attrs("position of the frame on the sample, relative to the first", "pixel"),
            ),
            "field": ("frame", field, dims.attrs("applied field at the start of the frame")),
            "pins": (
                ("pin", "axis"),
                pin_positions(config, seed),
                dims.attrs("pins, in pixels of frame 0", "pixel"),
            ),
            **_landscape(config, seed),
        },
        coords=coords | {"axis": ("axis", ["y", "x"])},
        attrs={
            "settings": settings,
            "wall_speed_per_field": wall_speed(1.0, steps_per_frame=config.steps_per_frame),
            "wall_speed_units": "pixel per frame",
        },
    )
    return recording, truth


def _landscape(config: DomainsConfig, seed: int) -> dict[str, tuple]:
    """What holds or drives walls, (y, x) in pixels of frame 0."""
    own = (slice(config.margin, -config.margin),) * 2
    maps = {
        "well": (wells(config, seed)[own], dims.attrs("quadratic coefficient, 1 in the bulk")),
        "bias": (built_in_field(config, seed)[own], dims.attrs("built-in field")),
    }
    if config.sample.lamellae.enabled:
        y, x = np.indices((config.rows, config.columns), dtype=np.float64)
        words = dims.attrs("distance from the nearest edge of a lamella", "pixel")
        maps["edge_distance"] = (edge_distance(config.sample.lamellae, y, x), words)
    return {name: (dims.IMAGE[1:], *variable) for name, variable in maps.items()}


def applied_field(config: FieldConfig, time: float) -> float:
    """The applied field at a time [frames]."""
    if config.waveform == "constant":
        return config.offset + config.amplitude
    if config.waveform == "staircase":
        step = min(math.floor(time / config.period * config.steps) + 1, config.steps)
        return config.offset + config.amplitude * step / config.steps
    if config.waveform == "pulses":
        on = time % config.period < config.duty * config.period
        return config.offset + config.amplitude * on
    wave = math.sin(2 * math.pi * time / config.period)
    if config.waveform == "square":
        wave = 1.0 if time % config.period < config.period / 2 else -1.0
    return config.offset + config.amplitude * wave


def drift_path(config: DomainsConfig, seed: int) -> np.ndarray:
    """Position of every frame on the sample relative to the first (frame, axis) [px].

    Steps of up to `probe.drift` pixels in a wandering direction, reflected back into the margin.
    """
    draws = stream(seed, "drift").random((config.n_frames, 2))
    direction = 2 * np.pi * draws[0, 1] + np.cumsum(2.5 * (draws[:, 1] - 0.5))
    length = config.probe.drift * draws[:, 0]
    steps = length[:, None] * np.stack((np.sin(direction), np.cos(direction)), axis=1)
    steps[0] = 0
    bound = config.margin - PAD - SEAM
    return np.abs((np.cumsum(steps, axis=0) - bound) % (4 * bound) - 2 * bound) - bound


def _frames(
    sample: Sample, frames: range, *, config: DomainsConfig, seed: int
) -> Iterator[tuple[Arrays, Arrays]]:
    """Channels and truth of successive frames; the sample evolves meanwhile."""
    path = drift_path(config, seed)
    size = (config.rows, config.columns)
    for frame in frames:
        faults = draw_faults(config, seed=seed, frame=frame)
        scan = _scan(sample, path[frame], frame=frame, config=config, seed=seed)
        polarization = scan.polarization
        offset = _lamella_offset(config, path[frame])
        inside = np.abs(offset) < config.sample.lamellae.width / 2
        polarized = np.where(inside, config.sample.lamellae.response, 1) * polarization
        height = window(sample.height, config.margin + path[frame], size)
        channels = record(
            polarized, height, faults, config=config.probe, generator=stream(seed, "noise", frame)
        )
        unpadded = (slice(PAD, -PAD), slice(PAD, -PAD))
        wall = zero_line(polarization)
        truth = {
            "polarization": polarized[unpadded].astype(np.float32),
            "wall": wall[unpadded],
            "wall_velocity": wall_velocity(polarization, scan.rate, wall)[unpadded].astype(
                np.float32
            ),
            "wall_curvature": wall_curvature(polarization, wall)[unpadded].astype(np.float32),
            "switching_time": scan.switching_time,
            "non180": inside[unpadded],
            "scar": faults.scar,
            "tip_loss": faults.tip_loss,
            "effective_field": np.float64(scan.field),
        }
        yield channels, truth


def _lamella_offset(config: DomainsConfig, drift: np.ndarray) -> np.ndarray:
    """Distance from the centre of a lamella over a padded frame [px]; infinite without lamellae."""
    y = np.arange(-PAD, config.rows + PAD)[:, None] + drift[0]
    x = np.arange(-PAD, config.columns + PAD) + drift[1]
    if not config.sample.lamellae.enabled:
        return np.full((len(y), len(x)), np.inf)
    return stripe_offset(config.sample.lamellae, y, x)


@dataclass(frozen=True)
class Scan:
    """One frame of the sample; images are padded, except for the switching times."""

    field: float
    """Effective field at the start of the frame."""
    polarization: np.ndarray
    """At the time at which each line is scanned."""
    rate: np.ndarray
    """Change of the polarization per frame at that time."""
    switching_time: np.ndarray
    """In pixels of frame 0 [frames]."""


def _scan(
    sample: Sample, drift: np.ndarray, *, frame: int, config: DomainsConfig, seed: int
) -> Scan:
    """A frame, scanned line by line while the sample evolves."""
    ferroelectric, steps = sample.ferroelectric, config.steps_per_frame
    own = (slice(config.margin, -config.margin),) * 2
    switched = SwitchingTimes(ferroelectric.polarization[own])
    _nucleate(sample, frame=frame, config=config, seed=seed)
    if ferroelectric.terms is not None:
        ferroelectric.terms.begin(frame)
    rows = np.arange(-PAD, config.rows + PAD)
    columns = np.arange(-PAD, config.columns + PAD) + config.margin + drift[1]
    step_of_row = np.clip(rows * steps // config.rows, 0, steps - 1) * config.probe.row_skew
    scanned, later = np.empty((2, len(rows), len(columns)), np.float32)
    first = ferroelectric.effective_field(applied_field(config.field, frame))
    for step in range(steps):
        scanned_now = step_of_row == step
        positions = rows[scanned_now] + config.margin + drift[0]
        if scanned_now.any():
            scanned[scanned_now] = interpolate(ferroelectric.polarization, positions, columns)
        field = applied_field(config.field, frame + step / steps)
        ferroelectric.step(ferroelectric.effective_field(field))
        if scanned_now.any():
            later[scanned_now] = interpolate(ferroelectric.polarization, positions, columns)
        switched.look(ferroelectric.polarization[own], frame + (step + 1) / steps)
    return Scan(first, scanned, (later - scanned) * steps, switched.times)


def _nucleate(sample: Sample, *, frame: int, config: DomainsConfig, seed: int) -> None:
    generator = stream(seed, "nuclei", frame)
    field = applied_field(config.field, frame)
    size = sample.ferroelectric.polarization.shape
    for _ in range(generator.poisson(config.sample.nucleation) if field else 0):
        centre = generator.uniform(0, size)
        nucleate(
            sample.ferroelectric,
            sign=math.copysign(1, field),
            radius=config.sample.nucleus_radius,
            centre=centre,
        )


def interpolate(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A periodic image at fractional rows and columns that are one pixel apart (cubic)."""
    for axis, positions in enumerate((rows, columns)):
        whole = math.floor(positions[0])
        fraction = positions[0] - whole
        weights = (
            -fraction * (fraction - 1) * (fraction - 2) / 6,
            (fraction + 1) * (fraction - 1) * (fraction - 2) / 2,
            -(fraction + 1) * fraction * (fraction - 2) / 2,
            (fraction + 1) * fraction * (fraction - 1) / 6,
        )
        index = np.floor(positions + 1e-9).astype(int)
        taps = [image.take(index + tap, axis=axis, mode="wrap") for tap in (-1, 0, 1, 2)]
        image = np.tensordot(np.array(weights, image.dtype), np.stack(taps), axes=1)
    return image


def zero_line(polarization: np.ndarray) -> np.ndarray:
    """Pixels nearest to the sign changes of an image (y, x), bool."""
    on_line = np.zeros(polarization.shape, bool)
    for axis in (0, 1):
        image = np.moveaxis(polarization, axis, 0)
        line = np.moveaxis(on_line, axis, 0)
        before, after = image[:-1], image[1:]
        crosses = (before > 0) != (after > 0)
        nearer_before = np.abs(before) <= np.abs(after)
        line[:-1] |= crosses & nearer_before
        line[1:] |= crosses & ~nearer_before
    return on_line


def _stack(frames: list[Arrays]) -> Arrays:
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def _save_state(partial: Path, sample: Sample, *, frame: int) -> None:
    """Save the whole sample at the start of a frame in an unfinished store.

    The state is used only after the block before it is written, so that an incomplete one is computed again.
    """
    states = zarr.open_group(partial / STATES, mode="a")
    states.create_array(str(frame), data=sample.ferroelectric.polarization, overwrite=True)


def _restore(partial: Path, sample: Sample, *, frame: int) -> None:
    if frame:
        state = zarr.open_array(partial / STATES / str(frame), mode="r")
        sample.ferroelectric.polarization[...] = state[:]


def _remove_states(partial: Path, *, frame: int | None = None) -> None:
    """Remove the state at the start of a frame, or all states."""
    path = partial / STATES if frame is None else partial / STATES / str(frame)
    if path.exists():
        shutil.rmtree(path)
