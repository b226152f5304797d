"""Patches of spectra: every valid spectrum is a patch of one row."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig
from invae.config.spectra import SpectraConfig
from invae.descriptors import block_results
from invae.descriptors.layout import EMPTY, INDEPENDENT, lay_out_patches, site_coordinates
from invae.descriptors.spectra.gate import EXCLUDED, Gated, excluded, gated, of_sites, tell
from invae.descriptors.spectra.sites import on_own_pixels
from invae.descriptors.spectra.source import (
    POINT_X,
    POINT_Y,
    TRUTH,
    Spectra,
    places_of,
    survey,
)
from invae.dims import FRAME, PATCH, PATCH_X, PATCH_Y, SITE, Y, attrs
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

KIND = "spectrum"
TRUTH_PATCH = f"{TRUTH}patch"
AXIS = "axis"
"""Group with the axis of the spectra, and what else changes along it."""
GATE_SHARE = 70
"""Share of the gate in the progress [%]."""
SHOWN = 3
"""Spectra of each reason that are kept as examples."""


@dataclass(frozen=True)
class Chosen:
    """The valid spectra, which are the sites."""

    gate: Gated
    truth: str | None
    """Channel of the noise-free spectra."""

    @property
    def spectra(self) -> Spectra:
        """All spectra."""
        return self.gate.spectra


def describe_spectra(
    recording: Path,
    target: Path,
    *,
    config: SpectraConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write every valid spectrum as a patch (site, channel, 1, step).

    `patch_x` is the axis of the spectra; the group `axis` has it under its own name with what else changes along it. A simulation
    adds `truth_patch`. The group `excluded` has the spectra that are no sites, with some examples of each reason.

    Raises:
        InputError: there are no spectra, or fewer than two that can be used.
        ConfigError: the chosen channel does not exist, or the range of the axis does not fit.
    """
    spectra = survey(recording, config=config)
    dataset = store.open_store(recording)
    known = places_of(dataset, spectra)
    places = on_own_pixels(dataset, spectra)
    grown = store.begin(target, receipt.key)
    gate = gated(
        spectra,
        grown,
        config=config.gate,
        compute=compute,
        progress=lambda done, total: progress(GATE_SHARE * done // total, 100),
    )
    chosen = Chosen(gate, spectra.truth)
    every = _every(dataset, gate, known, places)
    sites = every.isel({SITE: gate.valid}).assign_coords(of_sites(gate, gate.valid))
    shard = lay_out_patches(grown, sites, beside=_beside(sites, chosen))
    store.write_dataset(grown, xr.Dataset(coords=spectra.coordinates()), group=AXIS)
    store.write_dataset(grown, _excluded(every, gate), group=EXCLUDED)
    store.write_dataset(grown, _lowest(gate), group=EMPTY)
    map_blocks(
        partial(_write, chosen=chosen, partial_store=grown, shard=shard),
        store.blocks(len(gate.valid), shard),
        compute=compute,
        progress=lambda done, total: progress(GATE_SHARE + (100 - GATE_SHARE) * done // total, 100),
    )
    store.remove(grown / block_results.FOLDER)
    store.publish(grown, target, receipt)


def _every(dataset: xr.Dataset, gate: Gated, known: xr.Dataset, places: np.ndarray) -> xr.Dataset:
    """Coordinates of every spectrum, and the axis as `patch_x`."""
    spectra = gate.spectra
    axis = spectra.coordinates()[spectra.axis]
    coords = site_coordinates(
        dataset,
        places,
        known[FRAME].to_numpy(),
        kind=KIND,
        channels=[spectra.name],
        steps=(np.zeros(1), axis.to_numpy().astype(float)),
        notes=[*spectra.remarks(), gate.remark()],
    )
    if not spectra.on_grid and Y not in dataset.sizes:  # points without images, in nm
        for name, point in (("y_nm", POINT_Y), ("x_nm", POINT_X)):
            coords[name] = (SITE, dataset[point].to_numpy(), coords[name].attrs)
    coords[PATCH_Y] = (PATCH_Y, np.zeros(1), attrs("row of the patch"))
    coords[PATCH_X] = (PATCH_X, axis.to_numpy(), {"long_name": spectra.axis} | axis.attrs)
    coords.attrs.pop("pixel_size_nm", None)
    told = {
        INDEPENDENT: False,
        "footprint": 1,
        "window": 1,
        "spectrum": spectra.name,
        "spectrum_axis": spectra.axis,
        "spectrum_units": str(spectra.value_attrs()["units"]),
        **tell(gate.reason),
    }
    if spectra.on_grid:
        told["grid_shape"] = list(spectra.shape)
    beside = {name: known[name].variable for name in known.coords if name != FRAME}
    return coords.assign_coords(beside).assign_attrs(told)


def _beside(sites: xr.Dataset, chosen: Chosen) -> dict[str, store.Variable]:
    """The array of the noise-free spectra, if there are any."""
    if chosen.truth is None:
        return {}
    shape = tuple(sites.sizes[dim] for dim in PATCH)
    told = chosen.spectra.value_attrs()
    words = {**told, "long_name": f"{told['long_name']}, without noise"}
    return {TRUTH_PATCH: store.Variable(PATCH, shape, np.float32, words)}


def _excluded(every: xr.Dataset, gate: Gated) -> xr.Dataset:
    """The group `excluded`, with `example (example, step)` as recorded and the `example_reason` of each."""
    rows = [np.flatnonzero(gate.reason == code)[:SHOWN] for code in range(1, gate.reason.max() + 1)]
    shown = np.concatenate([np.empty(0, int), *rows]).astype(int)
    spectra = gate.spectra
    values = [spectra.binned(spectra.read(slice(n, n + 1)).astype(float))[0] for n in shown]
    examples = np.array(values, np.float32).reshape(len(shown), spectra.n_steps)
    group = excluded(every, gate.reason)
    group["example"] = (("example", PATCH_X), examples, attrs("excluded spectrum as recorded"))
    group["example_reason"] = ("example", gate.reason[shown], group["reason"].attrs)
    return group


def _lowest(gate: Gated) -> xr.Dataset:
    """`empty_patch`, a lower bound of all patches: the smallest value of all valid spectra, at most 0."""
    smallest = [
        float(block_results.load(piece, "spectrum")[0].min(initial=0.0)) for piece in gate.pieces
    ]
    lowest = np.full((1, 1, gate.spectra.n_steps), min(smallest), np.float32)
    return xr.Dataset({"empty_patch": (PATCH[1:], lowest, attrs("lower bound of all patches"))})


def _write(block: slice, *, chosen: Chosen, partial_store: Path, shard: int) -> None:
    """Write one shard of patches, unless it is written already."""
    names = ["patch", "valid", *([TRUTH_PATCH] if chosen.truth is not None else [])]
    if store.block_is_written(partial_store, names, start=block.start, shard=shard):
        return
    sites = chosen.gate.valid[block]
    values = chosen.gate.values(sites)
    patch = values["spectrum"][:, None, None]
    arrays = {"patch": patch, "valid": np.isfinite(patch)}
    if chosen.truth is not None:
        clean = chosen.spectra.true_spectra(sites, chosen.truth) / values["scale"][:, None]
        arrays[TRUTH_PATCH] = clean[:, None, None].astype(np.float32)
    store.write_block(partial_store, arrays, start=block.start, shard=shard)
