"""Images of a recording: names of the signals, and frames as arrays."""

import numpy as np
import xarray as xr

from invae.descriptors.offset import offset_of, without_offset
from invae.dims import FRAME, IMAGE, MASK
from invae.errors import InputError


def images_of(recording: xr.Dataset) -> list[str]:
    """Names of the signals that are images (frame, y, x), in alphabetical order; a drawn mask is none."""
    images = (str(n) for n, signal in recording.data_vars.items() if signal.dims == IMAGE)
    return sorted(name for name in images if name != MASK)


def drawn_mask(recording: xr.Dataset, frames: slice, *, use: str) -> np.ndarray | None:
    """Pixels of some frames that a drawn mask excludes, bool (frame, y, x); none without a mask.

    Args:
        recording: any recording.
        frames: the frames.
        use: `exclude` if its pixels are excluded, `keep` if all others are, `ignore` if it does not count.
    """
    if MASK not in recording.data_vars or use == "ignore":
        return None
    drawn = recording[MASK].isel({FRAME: frames}).to_numpy() > 0
    return ~drawn if use == "keep" else drawn


def need_images(recording: xr.Dataset, name: str) -> list[str]:
    """Names of the signals that are images.

    Args:
        recording: any recording.
        name: its name, for the message.

    Raises:
        InputError: the recording has no images.
    """
    images = images_of(recording)
    if images and recording.sizes[FRAME]:
        return images
    shapes = sorted({" ".join(map(str, v.dims)) for v in recording.data_vars.values()})
    raise InputError(
        f"{name}: holds no images (frame, y, x) but {', '.join(shapes) or 'nothing'}; choose another "
        "kind of describe"
    )


def read_frames(recording: xr.Dataset, name: str, frames: slice) -> np.ndarray:
    """Frames of one channel without its offset (see `offset_of`), float32 (frame, y, x)."""
    values = recording[name].isel({FRAME: frames}).to_numpy()
    return without_offset(values, offset_of(recording[name])).astype(np.float32, copy=False)


def read_recorded(recording: xr.Dataset, name: str, frames: slice) -> np.ndarray:
    """Frames of one channel as recorded, float32 (frame, y, x)."""
    return recording[name].isel({FRAME: frames}).to_numpy().astype(np.float32, copy=False)
