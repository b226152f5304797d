"""Maps, walls and candidate sites of a block of frames."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae.descriptors import block_results
from invae.descriptors.domains.detection import PROBABILITIES, detect
from invae.descriptors.domains.masks import DRAWN, REASONS, invalid_reason
from invae.descriptors.domains.phase import alignment, amplitude_scale, in_phase
from invae.descriptors.domains.series import Series, coordinates
from invae.descriptors.domains.signals import read_complex
from invae.descriptors.domains.sites import candidates
from invae.descriptors.domains.stripes import lamella_edges
from invae.descriptors.domains.walls import (
    WALL_180,
    WALL_KINDS,
    WALL_NON180,
    Contour,
    canny_edges,
)
from invae.descriptors.images import drawn_mask
from invae.dims import IMAGE, attrs, flags
from invae.storage import store

STAGE = "frames"


@dataclass(frozen=True)
class FrameDescription:
    """Maps and candidate sites of one frame."""

    maps: dict[str, np.ndarray]
    contours: list[Contour]
    sites: np.ndarray
    """Candidates (site, 2), (y, x) [px]."""
    scale: float
    """Typical amplitude, in the unit of the amplitude."""


def lay_out_maps(series: Series) -> None:
    """Make the arrays of the maps, unwritten."""
    shape = (series.n_frames, *series.shape)
    kinds = {
        "polarization": (
            np.float32,
            attrs(
                "signed polarization, phase sign times amplitude, over the frame's usual amplitude"
            ),
        ),
        "wall": (np.uint8, flags(WALL_KINDS, "domain walls, one pixel wide")),
        "lamella": (np.bool_, attrs("inside a lamella (non-180-degree domain)")),
        "canny": (np.bool_, attrs("edges of cos(phase - offset), Canny's detector")),
        "valid": (np.bool_, attrs("pixel is to be believed")),
        "invalid_reason": (np.uint8, flags(REASONS, "why a pixel is not to be believed")),
    }
    if series.config.walls.method != "contour":
        kinds |= {name: (np.float32, attrs(words)) for name, words in PROBABILITIES.items()}
    variables = {
        name: store.Variable(IMAGE, shape, dtype, more) for name, (dtype, more) in kinds.items()
    }
    coords = xr.Dataset(coords=coordinates(series.open()))
    store.lay_out(series.partial, variables, shard=series.shard, coords=coords, group="maps")


def describe_frame(
    response: np.ndarray,
    *,
    series: Series,
    offset: float | None = None,
    drawn: np.ndarray | None = None,
) -> FrameDescription:
    """Polarization, masks, walls and candidate sites of one frame.

    Args:
        response: A·exp(iφ), complex (y, x).
        series: settings and calibration of the series.
        offset: phase offset of the frame [rad]; that of the series when empty.
        drawn: pixels that a drawn mask excludes, bool (y, x).
    """
    config = series.config
    offset = series.phase_offset if offset is None else offset
    flip = config.phase_offset.flip
    size = np.abs(response)
    polarization = in_phase(response, offset=offset, flip=flip)
    aligned = alignment(response, offset=offset)
    reason = invalid_reason(
        polarization, aligned, size, scan_lines=series.scan_lines, config=config.masks
    )
    if drawn is not None:
        reason[drawn] = DRAWN
    valid = reason == 0
    scale = amplitude_scale(polarization, valid)
    valid &= scale > 0
    polarization = polarization / np.float32(scale if scale > 0 else 1)
    aligned_response = response * np.exp(-1j * np.complex64(offset)) * (-1 if flip else 1)
    detected = detect(
        aligned_response, polarization, valid, scan_lines=series.scan_lines, config=config.walls
    )
    wall = np.where(lamella_edges(detected.lamella, valid), WALL_NON180, 0).astype(np.uint8)
    wall[detected.wall_180] = WALL_180
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = polarization / (size / scale)
    edges = canny_edges(np.nan_to_num(cosine), valid, sigma=config.walls.canny_sigma)
    maps = {
        "polarization": polarization,
        "wall": wall,
        "lamella": detected.lamella,
        "canny": edges,
        "valid": valid,
        "invalid_reason": reason,
        **detected.probabilities,
    }
    sites = candidates(detected.contours, series.shape, config=config.sites)
    return FrameDescription(maps, detected.contours, sites, scale)


def describe_block(frames: slice, *, series: Series) -> None:
    """Write the maps of a block of frames, and save its contours and candidate sites as a piece."""
    piece = block_results.path_of(series.partial, STAGE, frames.start)
    if piece.exists():
        return
    responses = read_complex(series.open(), series.signals, frames)
    drawn = drawn_mask(series.open(), frames, use=series.config.masks.drawn)
    found = [
        describe_frame(
            response,
            series=series,
            offset=series.offset_of(frames.start + number),
            drawn=None if drawn is None else drawn[number],
        )
        for number, response in enumerate(responses)
    ]
    arrays = {name: np.stack([frame.maps[name] for frame in found]) for name in found[0].maps}
    store.write_block(series.partial, arrays, start=frames.start, shard=series.shard, group="maps")
    numbers = np.arange(frames.start, frames.stop)
    lines = [
        (number, contour.points)
        for number, frame in zip(numbers, found, strict=True)
        for contour in frame.contours
    ]
    lengths = [len(points) for _, points in lines]
    site_counts = [len(frame.sites) for frame in found]
    block_results.save(
        piece,
        scale=np.array([frame.scale for frame in found]),
        point=np.concatenate([np.zeros((0, 2)), *(points for _, points in lines)]),
        point_frame=np.repeat(np.array([number for number, _ in lines], np.int32), lengths),
        point_contour=np.repeat(np.arange(len(lines), dtype=np.int32), lengths),
        n_contours=np.array([len(lines)]),
        site=np.concatenate([frame.sites for frame in found]),
        site_frame=np.repeat(numbers.astype(np.int32), site_counts),
    )
