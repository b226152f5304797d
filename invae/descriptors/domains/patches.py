"""Walls of a PFM series and patches around them, in passes over blocks of whole shards.

Passes: survey (phase offset, scan lines), registration, frames (maps, walls, candidate sites),
selection of sites, patches. After an interruption, finished blocks are not repeated.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig, WallsConfig
from invae.descriptors import block_results
from invae.descriptors.domains import frame_maps as frame_pass
from invae.descriptors.domains.cut_patches import cut_block
from invae.descriptors.domains.phase_reference import with_references
from invae.descriptors.domains.registration import register
from invae.descriptors.domains.series import Series, survey
from invae.descriptors.domains.site_selection import STAGE as CHOICE
from invae.descriptors.domains.site_selection import choose_block, no_sites
from invae.descriptors.layout import lay_out_patches, site_coordinates
from invae.descriptors.patches import offsets
from invae.dims import AXIS, FRAME, attrs
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

SHARES = {
    "register": (0, 36),
    "phase": (36, 44),
    "frames": (44, 80),
    "choice": (80, 82),
    "patches": (82, 100),
}
"""Progress at the begin and end of each pass [percent]."""
POINT_BYTES = 4e6
"""Size of a shard of the contours' coordinates [byte]."""


def describe_walls(
    recording: Path,
    target: Path,
    *,
    config: WallsConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write maps, walls and patches of a recording, as a store.

    Root group: patches. Group `maps`: signed polarization, walls, masks, drift. Group `contours`:
    sub-pixel walls.

    Args:
        recording: the ingested recording, a Zarr store.
        target: the store to make.
        config: what to extract.
        receipt: of the store.
        compute: where blocks run.
        progress: called with the percentage done.

    Raises:
        InputError: channels are missing, frames are too small, or there are no sites.
        ConfigError: the configuration does not fit the recording.
    """
    grown = store.begin(target, receipt.key)
    series = survey(recording, grown, config=config)
    block_results.begin(grown)
    frame_pass.lay_out_maps(series)
    drift, drift_sd, remarks = register(
        series, compute=compute, progress=_part("register", progress)
    )
    series = replace(series, notes=(*series.notes, *remarks))
    series = with_references(series, drift, compute=compute, progress=_part("phase", progress))
    blocks = series.blocks()
    map_blocks(
        partial(frame_pass.describe_block, series=series),
        blocks,
        compute=compute,
        progress=_part("frames", progress),
    )
    found = [block_results.path_of(grown, frame_pass.STAGE, block.start) for block in blocks]
    _write_frame_values(series, drift, drift_sd, scale=block_results.gather(found, "scale"))
    _write_contours(series, found)
    sites, site_frames = _choose(
        series, drift, found, compute=compute, progress=_part("choice", progress)
    )
    shard = lay_out_patches(grown, _where(series, sites, site_frames))
    map_blocks(
        partial(
            cut_block, series=series, drift=drift, sites=sites, site_frames=site_frames, shard=shard
        ),
        store.blocks(len(sites), shard),
        compute=compute,
        progress=_part("patches", progress),
    )
    store.remove(grown / block_results.FOLDER)
    store.publish(grown, target, receipt)


def _choose(
    series: Series,
    drift: np.ndarray,
    found: list[Path],
    *,
    compute: ComputeConfig,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The selected sites (site, 2), (y, x) [px], and their frames (site,)."""
    blocks = series.blocks()
    map_blocks(
        partial(choose_block, series=series, drift=drift),
        blocks,
        compute=compute,
        progress=progress,
    )
    chosen = [block_results.path_of(series.partial, CHOICE, block.start) for block in blocks]
    sites, site_frames = (block_results.gather(chosen, name) for name in ("site", "site_frame"))
    if not len(sites):
        raise no_sites(series, n_candidates=len(block_results.gather(found, "site_frame")))
    return sites, site_frames


def _where(series: Series, sites: np.ndarray, site_frames: np.ndarray) -> xr.Dataset:
    """The coordinates of the selected sites and of the pixels of their patches."""
    steps = offsets(series.config.patches.window)
    return site_coordinates(
        series.open(),
        sites,
        site_frames,
        kind=series.config.sites.kind,
        channels=[channel.name for channel in series.channels],
        steps=(steps, steps),
        notes=series.notes,
    )


def _signal_attrs(series: Series) -> dict[str, str]:
    """The channels that were taken: by kind, and in words."""
    signals = series.signals
    kinds = {"amplitude": signals.amplitude, "phase": signals.phase}
    return {"signals": signals.words(series.open())} | {
        k: name for k, name in kinds.items() if name
    }


def _part(name: str, progress: Progress) -> Progress:
    """Progress of one pass as a percentage of the whole stage."""
    start, stop = SHARES[name]

    def scaled(done: int, total: int, /) -> None:
        progress(start + (stop - start) * done // total, 100)

    return scaled


def _write_frame_values(
    series: Series, drift: np.ndarray, drift_sd: np.ndarray, *, scale: np.ndarray
) -> None:
    """Write the variables with one number or vector per frame."""
    unit = series.open()[series.signals.polarization or series.signals.amplitude].attrs.get(
        "units", "1"
    )
    values = xr.Dataset(
        {
            "drift": (
                (FRAME, AXIS),
                drift,
                attrs("place of the frame on the sample relative to the first frame", "pixel"),
            ),
            "drift_sd": (
                (FRAME, AXIS),
                drift_sd,
                attrs("standard deviation of the drift among regions and pairs", "pixel"),
            ),
            "phase_offset": (
                (),
                series.phase_offset,
                attrs("instrumental phase of up and down domains", "rad"),
            ),
            "frame_phase_offset": (
                FRAME,
                [series.offset_of(frame) for frame in range(series.n_frames)],
                attrs("instrumental phase of up domains in the frame", "rad"),
            ),
            "amplitude_scale": (FRAME, scale, attrs("usual amplitude of the frame", unit)),
        },
        coords={AXIS: ["y", "x"]},
        attrs={"scan_lines": series.scan_lines} | _signal_attrs(series),
    )
    store.write_dataset(series.partial, values, group="maps")


def _write_contours(series: Series, found: list[Path]) -> None:
    """Write the group `contours`: points of all walls, numbered wall by wall over the whole series."""
    counts = [len(block_results.load(path, "point_frame")[0]) for path in found]
    starts = np.concatenate([[0], np.cumsum(counts)])
    first = np.concatenate([[0], np.cumsum(block_results.gather(found, "n_contours"))]).astype(
        np.int32
    )
    n_points = int(starts[-1])
    columns = {
        "y": (np.float32, attrs("wall position, down", "pixel")),
        "x": (np.float32, attrs("wall position, right", "pixel")),
        "frame": (np.int32, attrs("frame of the wall")),
        "contour": (np.int32, attrs("number of the wall in the series")),
    }
    variables = {
        name: store.Variable(("point",), (n_points,), dtype, more)
        for name, (dtype, more) in columns.items()
    }
    shard = max(1, min(n_points, int(POINT_BYTES // 4)))
    store.lay_out(series.partial, variables, shard=shard, group="contours")
    of_piece = np.repeat(np.arange(len(found)), counts)
    for block in store.blocks(n_points, shard):
        point, frame, contour = (
            block_results.gather_range(found, name, starts, block)
            for name in ("point", "point_frame", "point_contour")
        )
        arrays = {
            "y": point[:, 0].astype(np.float32),
            "x": point[:, 1].astype(np.float32),
            "frame": frame,
            "contour": contour + first[of_piece[block]],
        }
        store.write_block(series.partial, arrays, start=block.start, shard=shard, group="contours")
