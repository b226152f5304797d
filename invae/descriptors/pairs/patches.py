"""Pairs: the patch of an image about the place of every valid spectrum, and the spectrum."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig
from invae.config.spectra import PairsConfig
from invae.descriptors import block_results
from invae.descriptors.frame_patches import whole_share
from invae.descriptors.layout import INDEPENDENT, lay_out_patches, site_coordinates
from invae.descriptors.offset import remarks_on_offsets
from invae.descriptors.pairs.images import Images, images_of, places_in, window_notes, window_px
from invae.descriptors.patches import cut, offsets
from invae.descriptors.spectra.gate import (
    ALL_REASONS,
    EXCLUDED,
    OUTSIDE,
    Gated,
    counts,
    excluded,
    gated,
    of_sites,
    tell,
)
from invae.descriptors.spectra.source import TRUTH, places_of, survey
from invae.dims import FRAME, SITE, attrs
from invae.errors import InputError
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

KIND = "pair"
SPECTRUM = "spectrum"
SPECTRUM_VALID = "spectrum_valid"
TRUTH_SPECTRUM = f"{TRUTH}{SPECTRUM}"
GATE_SHARE = 50
"""Share of the gate in the progress [%]."""


@dataclass(frozen=True)
class Pairs:
    """Images, gated spectra and the spectra that are sites."""

    images: Images
    gate: Gated
    chosen: np.ndarray
    """Indices of the sites among all spectra."""
    centres: np.ndarray
    """(site, 2), (y, x) [px]."""
    frames: np.ndarray
    """(site,)."""
    window: int
    truth: str | None
    """Channel of the noise-free spectra."""


def describe_pairs(
    recording: Path,
    target: Path,
    *,
    config: PairsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write a patch and a spectrum for every valid spectrum whose window lies inside its image.

    The store has `patch` and `valid` (site, channel, patch_y, patch_x), `spectrum` and `spectrum_valid` (site, axis of the spectra) and,
    for a simulation, `truth_spectrum`; over `site` the usual coordinates, `specimen`, `spectrum_sd` and `n_spikes`, with `y` and `x` in
    pixels of the image. The group `excluded` has the spectra that are no sites.

    Raises:
        InputError: there are no spectra or no image, or fewer than two pairs remain.
        ConfigError: a chosen channel does not exist, the window or the range of the axis does not fit, or the place of the grid on the
            survey is unknown.
    """
    spectra = survey(recording, config=config)
    images = images_of(recording, spectra, config=config)
    window = window_px(images, config=config)
    known = places_of(store.open_store(recording), spectra)
    centres = places_in(images, spectra, known, config=config)
    grown = store.begin(target, receipt.key)
    gate = gated(
        spectra,
        grown,
        config=config.gate,
        compute=compute,
        progress=lambda done, total: progress(GATE_SHARE * done // total, 100),
    )
    reason = _with_outside(gate.reason, centres, images=images, window=window)
    chosen = np.flatnonzero(reason == 0)
    frames = known[FRAME].to_numpy()
    pairs = Pairs(images, gate, chosen, centres[chosen], frames[chosen], window, spectra.truth)
    every = _every(pairs, known, centres, reason)
    every.attrs["notes"] += window_notes(images, config=config)
    shard = _lay_out(grown, every.isel({SITE: chosen}).assign_coords(of_sites(gate, chosen)), pairs)
    store.write_dataset(grown, excluded(every, reason), group=EXCLUDED)
    map_blocks(
        partial(_write, pairs=pairs, partial_store=grown, shard=shard),
        store.blocks(len(chosen), shard),
        compute=compute,
        progress=lambda done, total: progress(GATE_SHARE + (100 - GATE_SHARE) * done // total, 100),
    )
    store.remove(grown / block_results.FOLDER)
    store.publish(grown, target, receipt)


def _with_outside(
    reason: np.ndarray, centres: np.ndarray, *, images: Images, window: int
) -> np.ndarray:
    """The reasons, with that of valid spectra whose window leaves the image.

    Raises:
        InputError: fewer than two pairs remain.
    """
    everywhere = np.ones(images.shape, bool)
    inside = whole_share(everywhere, centres, window=window) == 1
    left = np.where((reason == 0) & ~inside, ALL_REASONS.index(OUTSIDE), reason)
    n_pairs = int((left == 0).sum())
    if n_pairs < 2:
        raise InputError(
            f"{images.recording.parent.name}: {n_pairs} of {int((reason == 0).sum())} valid spectra have a "
            f"window of {window} px inside the image of {images.shape[0]} × {images.shape[1]} px; at least 2 are "
            "needed: lower describe.window, or correct describe.grid_to_image"
        )
    return left.astype(np.int8)


def _every(pairs: Pairs, known: xr.Dataset, centres: np.ndarray, reason: np.ndarray) -> xr.Dataset:
    """Coordinates of every spectrum, of sites and others, and of the pixels of a patch."""
    spectra, images = pairs.gate.spectra, pairs.images
    notes = [*spectra.remarks(), *images.notes, pairs.gate.remark()]
    notes += remarks_on_offsets(store.open_store(spectra.recording), [spectra.name])
    n_outside = counts(reason).get(OUTSIDE, 0)
    if n_outside:
        notes.append(
            f"{n_outside} valid spectra are no pairs: their window of {pairs.window} px leaves the image"
        )
    coords = site_coordinates(
        images.axes,
        centres,
        known[FRAME].to_numpy(),
        kind=KIND,
        channels=images.names,
        steps=(offsets(pairs.window), offsets(pairs.window)),
        notes=notes,
    )
    beside = {name: known[name].variable for name in known.coords if name != FRAME}
    told = {
        INDEPENDENT: False,
        "footprint": pairs.window,
        "image": images.kind,
        SPECTRUM: spectra.name,
        "spectrum_axis": spectra.axis,
        **tell(reason),
    }
    return coords.assign_coords(beside).assign_attrs(told)


def _lay_out(partial_store: Path, sites: xr.Dataset, pairs: Pairs) -> int:
    """Make all arrays; returns the sites per shard."""
    spectra = pairs.gate.spectra
    dims, shape = (SITE, spectra.axis), (sites.sizes[SITE], spectra.n_steps)
    known, told = attrs("value of the spectrum is to be believed"), spectra.value_attrs()
    beside = {
        SPECTRUM: store.Variable(dims, shape, np.float32, told),
        SPECTRUM_VALID: store.Variable(dims, shape, np.bool_, known),
    }
    if pairs.truth is not None:
        words = {**told, "long_name": f"{told['long_name']}, without noise"}
        beside[TRUTH_SPECTRUM] = store.Variable(dims, shape, np.float32, words)
    coords = sites.assign_coords(spectra.coordinates())
    return lay_out_patches(partial_store, coords, beside=beside)


def _write(block: slice, *, pairs: Pairs, partial_store: Path, shard: int) -> None:
    """Write one shard of pairs, unless it is written already."""
    names = ["patch", "valid", SPECTRUM, SPECTRUM_VALID]
    names += [TRUTH_SPECTRUM] if pairs.truth is not None else []
    if store.block_is_written(partial_store, names, start=block.start, shard=shard):
        return
    chosen, spectra = pairs.chosen[block], pairs.gate.spectra
    values = pairs.gate.values(chosen)
    arrays = _patches(block, pairs)
    arrays[SPECTRUM] = values["spectrum"]
    arrays[SPECTRUM_VALID] = np.isfinite(values["spectrum"])
    if pairs.truth is not None:
        clean = spectra.true_spectra(chosen, pairs.truth) / values["scale"][:, None]
        arrays[TRUTH_SPECTRUM] = clean.astype(np.float32)
    store.write_block(partial_store, arrays, start=block.start, shard=shard)


def _patches(block: slice, pairs: Pairs) -> dict[str, np.ndarray]:
    """`patch` and `valid` of some sites, with one frame in memory at a time."""
    centres, frames = pairs.centres[block], pairs.frames[block]
    shape = (len(frames), len(pairs.images.names), pairs.window, pairs.window)
    patch, valid = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        for channel, image in enumerate(pairs.images.read(int(frame))):
            patch[rows, channel], valid[rows, channel] = cut(
                image, np.isfinite(image), centres[rows], window=pairs.window
            )
    return {"patch": patch, "valid": valid}
