"""A PFM series of switching ferroelectric domains whose truth is known.

The sample is stepped in time while the tip scans it line by line; the window that the tip scans drifts over the sample:
pixel p of frame k shows what pixel p + drift[k] of the first frame shows.
"""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.config.synthetic import DomainsConfig, FieldConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.code_digest import code_digest
from invae.storage.provenance import Receipt, digest_json, now, stage_key, versions
from invae.storage.store import Variable
from invae.synthetic.landau import wall_speed
from invae.synthetic.probe import CHANNELS, PAD, draw_faults, record
from invae.synthetic.sample import (
    Sample,
    make_sample,
    nucleate,
    pin_positions,
    stream,
    stripe_offset,
    window,
)
from invae.synthetic.scene import is_written

SHARD_BYTES = 32e6
STATES = "states"
"""Group of an unfinished store that keeps the sample where the next block begins."""
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
    """Write a series as a Zarr store: channels at the root, what is known of them in group `truth`.

    Memory is bounded by one shard; a run that was killed goes on with the block that is not there.
    """
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    layouts = {"": channel_layout(config), "truth": truth_layout(config)}
    shard = store.shard_length(layouts[""] | layouts["truth"], shard_bytes=SHARD_BYTES)
    for group, coords in zip(layouts, known_before(config, seed), strict=True):
        store.lay_out(partial, layouts[group], shard=shard, coords=coords, group=group)
    sample = make_sample(config, seed)
    for block in store.blocks(config.n_frames, shard):
        if not is_written(partial, layouts, start=block.start, shard=shard):
            _restore(partial, sample, frame=block.start)
            frames = list(_frames(sample, range(block.start, block.stop), config=config, seed=seed))
            _keep(partial, sample, frame=block.stop)
            for index, group in enumerate(layouts):
                arrays = _stack([frame[index] for frame in frames])
                store.write_block(partial, arrays, start=block.start, shard=shard, group=group)
        _forget(partial, frame=block.start)
        progress(block.stop, config.n_frames)
    _forget(partial)
    store.publish(partial, target, receipt)


def simulate_dataset(config: DomainsConfig, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A series in memory: the recording, and the truth about it."""
    sample = make_sample(config, seed)
    frames = list(_frames(sample, range(config.n_frames), config=config, seed=seed))
    recording, truth = (
        known.assign(
            {
                name: (layout[name].dims, values, dict(layout[name].attrs))
                for name, values in _stack([frame[index] for frame in frames]).items()
            }
        )
        for index, (known, layout) in enumerate(
            zip(
                known_before(config, seed),
                (channel_layout(config), truth_layout(config)),
                strict=True,
            )
        )
    )
    return recording, truth


def make_receipt(target: Path, *, config: DomainsConfig, seed: int) -> Receipt:
    """The receipt of a simulated recording."""
    values = config.model_dump(mode="json")
    code = code_digest(__name__)
    return Receipt(
        stage="simulate",
        key=stage_key("simulate", inputs=[], config=values, code=code, seed=seed),
        recording=target.stem,
        sources=(),
        inputs={},
        config=values,
        config_hash=digest_json(values),
        seed=seed,
        code=code,
        versions=versions(),
        created=now(),
    )


def channel_layout(config: DomainsConfig) -> dict[str, Variable]:
    """What is recorded."""
    shape = (config.n_frames, config.rows, config.columns)
    return {
        name: Variable(dims.IMAGE, shape, np.float32, {**attrs, "direction": "trace"})
        for name, attrs in CHANNELS.items()
    }


def truth_layout(config: DomainsConfig) -> dict[str, Variable]:
    """What is known of every frame, in the frame's own pixels."""
    images = {
        "polarization": ("out-of-plane polarization without tip and noise", np.float32),
        "wall": ("pixels on a zero line of the polarization", np.bool_),
        "non180": ("inside a lamella (non-180-degree domain)", np.bool_),
    }
    rows = {"scar": "line scarred", "tip_loss": "line recorded without contact"}
    shape = (config.n_frames, config.rows, config.columns)
    return {
        **{k: Variable(dims.IMAGE, shape, t, dims.attrs(name)) for k, (name, t) in images.items()},
        **{
            k: Variable(dims.IMAGE[:2], shape[:2], np.bool_, dims.attrs(name))
            for k, name in rows.items()
        },
        "effective_field": Variable(
            dims.IMAGE[:1],
            shape[:1],
            np.float64,
            dims.attrs("applied field less the depolarization, at the start of the frame"),
        ),
    }


def known_before(config: DomainsConfig, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Coordinates and attributes of the recording and of its truth, and what needs no time step."""
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
    truth = xr.Dataset(
        {
            "drift": (
                ("frame", "axis"),
                drift_path(config, seed),
                dims.attrs("position of the frame on the sample, against the first", "pixel"),
            ),
            "field": ("frame", field, dims.attrs("applied field at the start of the frame")),
            "pins": (
                ("pin", "axis"),
                pin_positions(config, seed),
                dims.attrs("pins, in pixels of frame 0", "pixel"),
            ),
        },
        coords=coords | {"axis": ("axis", ["y", "x"])},
        attrs={
            "settings": settings,
            "wall_speed_per_field": wall_speed(1.0, steps_per_frame=config.steps_per_frame),
            "wall_speed_units": "pixel per frame",
        },
    )
    return recording, truth


def applied_field(config: FieldConfig, time: float) -> float:
    """The applied field at a time [frames]."""
    if config.waveform == "constant":
        return config.offset + config.amplitude
    wave = math.sin(2 * math.pi * time / config.period)
    if config.waveform == "square":
        wave = 1.0 if time % config.period < config.period / 2 else -1.0
    return config.offset + config.amplitude * wave


def drift_path(config: DomainsConfig, seed: int) -> np.ndarray:
    """Position of every frame on the sample, against the first (frame, axis) [px].

    Steps of up to `probe.drift` pixels whose direction wanders, folded back into the margin.
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
    """Channels and truth of successive frames; the sample moves on in time."""
    path = drift_path(config, seed)
    size = (config.rows, config.columns)
    for frame in frames:
        faults = draw_faults(config, seed=seed, frame=frame)
        field, polarization = _scan(sample, path[frame], frame=frame, config=config, seed=seed)
        offset = _lamella_offset(config, path[frame])
        inside = np.abs(offset) < config.sample.lamellae.width / 2
        share = np.where(inside, config.sample.lamellae.response, 1) * polarization
        height = window(sample.height, config.margin + path[frame], size)
        channels = record(
            share, height, faults, config=config.probe, generator=stream(seed, "noise", frame)
        )
        own = (slice(PAD, -PAD), slice(PAD, -PAD))
        truth = {
            "polarization": share[own].astype(np.float32),
            "wall": zero_line(polarization)[own],
            "non180": inside[own],
            "scar": faults.scar,
            "tip_loss": faults.tip_loss,
            "effective_field": np.float64(field),
        }
        yield channels, truth


def _lamella_offset(config: DomainsConfig, drift: np.ndarray) -> np.ndarray:
    """Distance from the middle of a lamella over a padded frame [px]; infinite without lamellae."""
    y = np.arange(-PAD, config.rows + PAD)[:, None] + drift[0]
    x = np.arange(-PAD, config.columns + PAD) + drift[1]
    if not config.sample.lamellae.enabled:
        return np.full((len(y), len(x)), np.inf)
    return stripe_offset(config.sample.lamellae, y, x)


def _scan(
    sample: Sample, drift: np.ndarray, *, frame: int, config: DomainsConfig, seed: int
) -> tuple[float, np.ndarray]:
    """Effective field at the start of a frame, and the polarization as the lines meet it (padded)."""
    ferroelectric, steps = sample.ferroelectric, config.steps_per_frame
    _nucleate(sample, frame=frame, config=config, seed=seed)
    rows = np.arange(-PAD, config.rows + PAD)
    columns = np.arange(-PAD, config.columns + PAD) + config.margin + drift[1]
    due = np.clip(rows * steps // config.rows, 0, steps - 1) * config.probe.row_skew
    scanned = np.empty((len(rows), len(columns)), np.float32)
    first = ferroelectric.effective_field(applied_field(config.field, frame))
    for step in range(steps):
        now_due = due == step
        if now_due.any():
            at = rows[now_due] + config.margin + drift[0]
            scanned[now_due] = interpolate(ferroelectric.polarization, at, columns)
        field = applied_field(config.field, frame + step / steps)
        ferroelectric.step(ferroelectric.effective_field(field))
    return first, scanned


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
    """A periodic image at fractional rows and columns that are each one pixel apart (cubic)."""
    for axis, positions in enumerate((rows, columns)):
        whole = math.floor(positions[0])
        rest = positions[0] - whole
        weights = (
            -rest * (rest - 1) * (rest - 2) / 6,
            (rest + 1) * (rest - 1) * (rest - 2) / 2,
            -(rest + 1) * rest * (rest - 2) / 2,
            (rest + 1) * rest * (rest - 1) / 6,
        )
        index = np.floor(positions + 1e-9).astype(int)
        taps = [image.take(index + tap, axis=axis, mode="wrap") for tap in (-1, 0, 1, 2)]
        image = np.tensordot(np.array(weights, image.dtype), np.stack(taps), axes=1)
    return image


def zero_line(polarization: np.ndarray) -> np.ndarray:
    """Pixels nearest to where an image changes sign between neighbours (y, x), bool."""
    found = np.zeros(polarization.shape, bool)
    for axis in (0, 1):
        image = np.moveaxis(polarization, axis, 0)
        line = np.moveaxis(found, axis, 0)
        before, after = image[:-1], image[1:]
        crosses = (before > 0) != (after > 0)
        nearer_before = np.abs(before) <= np.abs(after)
        line[:-1] |= crosses & nearer_before
        line[1:] |= crosses & ~nearer_before
    return found


def _stack(frames: list[Arrays]) -> Arrays:
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def _keep(partial: Path, sample: Sample, *, frame: int) -> None:
    """Keep the whole sample at the start of a frame inside an unfinished store.

    It counts once the block before it is written, so that a torn one is made again.
    """
    states = zarr.open_group(partial / STATES, mode="a")
    states.create_array(str(frame), data=sample.ferroelectric.polarization, overwrite=True)


def _restore(partial: Path, sample: Sample, *, frame: int) -> None:
    if frame:
        state = zarr.open_array(partial / STATES / str(frame), mode="r")
        sample.ferroelectric.polarization[...] = state[:]


def _forget(partial: Path, *, frame: int | None = None) -> None:
    """Remove what was kept at the start of a frame, or all of it."""
    place = partial / STATES if frame is None else partial / STATES / str(frame)
    if place.exists():
        shutil.rmtree(place)
