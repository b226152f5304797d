"""Patches of a 4D-STEM scan: the pattern of every probe, centred on the optic axis, cropped, resampled and transformed."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig, PatternsConfig
from invae.descriptors.diffraction.averaging import sums_of_similar, write_features
from invae.descriptors.diffraction.descan import remarks_on_descan
from invae.descriptors.diffraction.halves import remarks_on_halves, write_halves
from invae.descriptors.diffraction.neighbours import channels, combined
from invae.descriptors.diffraction.rings import remarks_on_ring
from invae.descriptors.diffraction.scale import mean_sum, on_scale
from invae.descriptors.diffraction.scan import Scan, pieces, resampled, survey
from invae.descriptors.layout import EMPTY, lay_out_patches, site_coordinates
from invae.descriptors.offset import remarks_on_offsets
from invae.dims import K_X, PATCH, PATCH_X, PATCH_Y, SCAN_X, SCAN_Y, X, Y, attrs
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

KIND = "pattern"
FOOTPRINT = "footprint"
"""Attribute of a patch store: side of the square of probes behind one patch [pixel], if it is not the window."""
SEARCH_SHARE = 30
"""Share of the search for similar probes in the progress [%]."""
LAST = 90
"""Progress before the halves of the electrons are described [%]."""


def describe_patterns(
    recording: Path,
    target: Path,
    *,
    config: PatternsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """The patterns of a scan as patches, one for each probe that has all its neighbours.

    Raises:
        InputError: the recording is no scan of patterns, or it is too small.
        ConfigError: the recording lacks the calibration for the radius, or the radius leaves no pixel.
    """
    dataset = store.open_store(recording)
    scan, radius = survey(dataset, recording, config=config)
    partial_store = store.begin(target, receipt.key)
    shard = lay_out_patches(partial_store, _coordinates(dataset, scan, radius))
    store.write_dataset(partial_store, _empty(scan), group=EMPTY)
    first = 0
    if config.alike is not None:
        first = SEARCH_SHARE
        write_features(scan, partial_store, compute=compute, progress=lambda done, total: progress(first * done // total, 100))  # fmt: skip
    n_sites = scan.inner[0] * scan.inner[1]
    map_blocks(
        partial(_write, scan=scan, partial_store=partial_store, shard=shard),
        store.blocks(n_sites, shard),
        compute=compute,
        progress=lambda done, total: progress(first + (LAST - first) * done // total, 100),
    )
    write_halves(scan, partial_store)
    progress(100, 100)
    store.publish(partial_store, target, receipt)


def _empty(scan: Scan) -> xr.Dataset:
    """`empty_patch`: the patch of a pattern without electrons."""
    nothing = np.zeros_like(mean_sum(scan)) - scan.offset * np.reshape(scan.n_added, (-1, 1, 1))
    zero = on_scale(scan, nothing)[0].astype(np.float32)
    words = attrs("patch of a pattern without electrons")
    return xr.Dataset({"empty_patch": (PATCH[1:], zero, words)})


def _coordinates(dataset: xr.Dataset, scan: Scan, radius: tuple[float, float]) -> xr.Dataset:
    """Coordinates of the sites and of the patch's pixels."""
    config, margin = scan.config, scan.margin
    rows, columns = np.indices(scan.inner).reshape(2, -1) + margin
    steps, axes = _pixels(config, radius, str(dataset[K_X].attrs.get("units", "pixel")))
    probes = xr.Dataset(
        coords={axis: (axis, *_axis(dataset[name])) for axis, name in ((Y, SCAN_Y), (X, SCAN_X))},
        attrs=dataset.attrs,
    )
    coords = site_coordinates(
        probes,
        np.stack((rows, columns), axis=1).astype(float),
        np.zeros(rows.size, np.int32),
        kind=KIND,
        channels=list(channels(config.neighbours, config.combine)),
        steps=(steps[0], steps[1]),
        notes=[*_remarks(dataset, scan), *remarks_on_ring(scan.recording, float(np.mean(radius)))],
    )
    for name, places, axis in zip((PATCH_Y, PATCH_X), steps, axes, strict=True):
        coords[name] = (name, places, axis)
    coords.attrs.pop("pixel_size_nm", None)
    layout = {FOOTPRINT: 2 * margin + 1, "scan_shape": list(scan.shape), "window": config.window}
    return coords.assign_attrs(layout)


def _pixels(
    config: PatternsConfig, radius: tuple[float, float], units: str
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[dict[str, str], dict[str, str]]]:
    """Centres of the patch's rows and columns, and their attributes."""
    if config.grid == "polar":
        share = (np.arange(config.window) + 0.5) / config.window
        ring, turn = attrs("scattering angle", units), attrs("direction from +x, as np.rot90", "rad")  # fmt: skip
        return (share * float(np.mean(radius)), share * 2 * np.pi), (ring, turn)
    y, x = (
        (np.arange(config.window) - (config.window - 1) / 2) * 2 * reach / config.window
        for reach in radius
    )
    return (y, x), (attrs("scattering angle, down", units), attrs("scattering angle, right", units))


def _axis(places: xr.DataArray) -> tuple[np.ndarray, Mapping[str, object]]:
    return places.to_numpy(), places.attrs


def _remarks(dataset: xr.Dataset, scan: Scan) -> list[str]:
    config, remarks = scan.config, remarks_on_halves(scan)
    if config.transform == "anscombe" and dataset["pattern"].dtype.kind not in "iu":
        remarks.append(
            "patterns are no counts, but the transform anscombe is made for counts; "
            "set describe.transform sqrt or log"
        )
    if scan.offset:
        remarks += remarks_on_offsets(dataset, ["pattern"])
    if config.combine == "apart" and config.neighbours > 1:
        remarks.append(
            "every neighbour is a separate channel: neighbours do not turn with the pattern, so "
            "equivalent sites get different contents; describe.combine sum or rings keeps them equal"
        )
    if config.alike is not None:
        remarks.append(
            f"each patch is the sum of up to {scan.n_added[0]} similar probes from the whole scan: patches share electrons, "
            "so held-out patches are not independent of the others"
        )
    maps = store.open_store(scan.recording, group="maps")
    remarks += remarks_on_descan(scan.motion, maps, config.descan)
    if scan.margin:
        remarks.append(
            f"each site combines {config.neighbours} probes: probes within {scan.margin} of the "
            "edge of the scan lack neighbours and are no sites"
        )
    return remarks


def _write(block: slice, *, scan: Scan, partial_store: Path, shard: int) -> None:
    """Write one shard of patches, unless it exists."""
    if store.block_is_written(partial_store, ("patch", "valid"), start=block.start, shard=shard):
        return
    width = scan.inner[1]
    first, last = block.start // width, -(-block.stop // width)
    if scan.config.alike is None:
        rows = np.concatenate([_rows(scan, piece) for piece in pieces(scan, first, last)])
    else:
        rows = on_scale(scan, sums_of_similar(scan, partial_store, slice(first, last)))
    patch = rows[block.start - first * width : block.stop - first * width]
    valid = np.broadcast_to(scan.resampling.valid(counts=scan.counts), patch.shape)
    valid_pixels = valid & np.isfinite(patch)
    arrays = {"patch": np.where(valid_pixels, patch, 0).astype(np.float32), "valid": valid_pixels}
    store.write_block(partial_store, arrays, start=block.start, shard=shard)


def _rows(scan: Scan, rows: slice) -> np.ndarray:
    """Patches of some rows of sites (site, channel, y, x)."""
    small = resampled(scan, slice(rows.start, rows.stop + 2 * scan.margin))
    return on_scale(scan, combined(small, scan.groups, margin=scan.margin))
