"""A PFM series of switching ferroelectric domains with its ground truth.

The sample evolves in time while the tip scans it line by line. The scanned window drifts over the sample:
pixel p of frame k shows the same position as pixel p + drift[k] of the first frame.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.config.synthetic import DomainsConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable
from invae.synthetic.domain_frames import Arrays, applied_field, drift_path, frames_of
from invae.synthetic.landau import wall_speed
from invae.synthetic.probe import CHANNELS
from invae.synthetic.sample import (
    Sample,
    built_in_field,
    families,
    make_sample,
    pin_positions,
    wells,
)
from invae.synthetic.scene import is_written, receipt_of_scene

SHARD_BYTES = 32e6
STATES = "states"
"""Group of an unfinished store with the state of the sample at the start of the next block."""


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
            frames = list(
                frames_of(sample, range(block.start, block.stop), config=config, seed=seed)
            )
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
    frames = list(frames_of(sample, range(config.n_frames), config=config, seed=seed))
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
        "non180_edge": ("within half a pixel of the edge of a lamella", np.bool_),
    }
    motion = {
        "wall_velocity": dims.attrs("normal velocity of a wall", "pixel", per="frame"),
        "wall_curvature": dims.attrs("curvature of a wall", "1/pixel"),
        "switching_time": dims.attrs(
            "time of the first change of sign within the frame, in pixels of frame 0", "frame"
        ),
    }
    rows = {"scar": "line with a scar", "tip_loss": "line recorded without contact"}
    jump = Variable(
        dims.IMAGE[:2],
        (config.n_frames, config.rows),
        np.float32,
        dims.attrs("displacement of a line to larger x", "pixel"),
    )
    shape = (config.n_frames, config.rows, config.columns)
    return {
        **{k: Variable(dims.IMAGE, shape, t, dims.attrs(name)) for k, (name, t) in images.items()},
        **{name: Variable(dims.IMAGE, shape, np.float32, attrs) for name, attrs in motion.items()},
        **{
            k: Variable(dims.IMAGE[:2], shape[:2], np.bool_, dims.attrs(name))
            for k, name in rows.items()
        },
        "line_jump": jump,
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
    y, x = np.indices((config.rows, config.columns), dtype=np.float64)
    edges = [np.abs(family.depth(y, x)) for family, _, _ in families(config, seed)]
    if edges:
        words = dims.attrs("distance from the nearest edge of a lamella", "pixel")
        maps["edge_distance"] = (np.min(edges, axis=0), words)
    return {name: (dims.IMAGE[1:], *variable) for name, variable in maps.items()}


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
