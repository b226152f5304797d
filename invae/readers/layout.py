"""The layout of what was read: missing axes are added, patterns put in order, images turned as configured.

Everything here is another view of the pixels: no pixel is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import ConfigError
from invae.readers import labels
from invae.readers.calibration import is_diffraction
from invae.readers.lazy import View
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw
from invae.readers.spectra import spectral_dims

PATTERNS = (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
SEQUENCE = (dims.FRAME, dims.K_Y, dims.K_X)
LINE_OF_PATTERNS = (dims.SCAN_X, dims.K_Y, dims.K_X)
PLANES = ((dims.Y, dims.X), (dims.SCAN_Y, dims.SCAN_X))
"""Axes that an orientation turns."""
AS_READ = "as_read"
ORIENTATIONS: Mapping[str, tuple[bool, bool, bool]] = {
    AS_READ: (False, False, False),
    "flip_y": (False, True, False),
    "flip_x": (False, False, True),
    "turn_180": (False, True, True),
    "transpose": (True, False, False),
    "turn_90": (True, True, False),
    "turn_270": (True, False, True),
    "transpose_turn_180": (True, True, True),
}
"""By name: whether y and x are exchanged, and then whether y and x run backwards; turns as `np.rot90`."""


def viewed(
    channel: Channel, names: Sequence[str], *, flipped: frozenset[str] = frozenset()
) -> Channel:
    """A channel with these axes in this order.

    Args:
        channel: The channel as it is.
        names: Its axes; a name that it lacks becomes a new axis of length one.
        flipped: Axes that run backwards.
    """
    axes = tuple(channel.dims.index(dim) if dim in channel.dims else None for dim in names)
    backwards = frozenset(channel.dims.index(dim) for dim in flipped if dim in channel.dims)
    if axes == tuple(range(len(channel.dims))) and not backwards:
        return channel
    view = View(channel.pixels, axes, backwards)
    pixels = replace(
        channel.pixels, shape=view.shape, dtype=view.dtype, read=view.values, chunks=view.chunks
    )
    return replace(channel, pixels=pixels, dims=tuple(names))


def completed(raw: Raw) -> Raw:
    """The content with lines of spectra and patterns as grids of one row or column, and patterns in the usual order."""
    channels = tuple(_completed(channel) for channel in raw.channels)
    axes = dict(raw.axes)
    for channel, old in zip(channels, raw.channels, strict=True):
        for dim in {*channel.dims} - {*old.dims}:
            along = axes.get({dims.X: dims.Y, dims.SCAN_Y: dims.SCAN_X}[dim])
            if along is not None:
                axes.setdefault(dim, Axis(np.zeros(1), along.units))
    return replace(raw, channels=channels, axes=axes)


def _completed(channel: Channel) -> Channel:
    names = {*channel.dims}
    if names in ({*PATTERNS}, {*LINE_OF_PATTERNS}):
        return viewed(channel, PATTERNS)
    if names == {*SEQUENCE}:
        return viewed(channel, SEQUENCE)
    if dims.Y in names and dims.X not in names and spectral_dims((*channel.dims, dims.X)):
        others = [dim for dim in channel.dims if dim != dims.Y]
        return viewed(channel, (dims.Y, dims.X, *others))
    return channel


def oriented(raw: Raw, orientation: str, path: Path) -> Raw:
    """The content with images, grids and scans turned or mirrored; patterns themselves stay.

    Raises:
        ConfigError: If the recording has no image to turn.
    """
    exchanged, flip_y, flip_x = ORIENTATIONS[orientation]
    if orientation == AS_READ:
        return raw
    if not any({*plane} <= {*c.dims} for c in raw.channels for plane in PLANES):
        raise ConfigError(
            f"{path}: has no image or scan to turn; set ingest.orientation to {AS_READ!r}"
        )
    flipped = frozenset(
        dim for plane in PLANES for dim, yes in zip(plane, (flip_y, flip_x), strict=True) if yes
    )
    renamed = {a: b for plane in PLANES for a, b in (plane, plane[::-1])} if exchanged else {}
    channels = tuple(_turned(channel, renamed, flipped) for channel in raw.channels)
    axes = {renamed.get(dim, dim): axis for dim, axis in raw.axes.items()}
    note = f"turned by ingest.orientation: {orientation}"
    return replace(
        raw,
        channels=channels,
        axes=axes,
        grid=None,  # the place was that of the image as read
        on_survey=None,
        notes=(*raw.notes, note),
    )


def _turned(channel: Channel, renamed: Mapping[str, str], flipped: frozenset[str]) -> Channel:
    names = tuple(renamed.get(dim, dim) for dim in channel.dims)
    axes = {renamed.get(dim, dim): axis for dim, axis in channel.axes.items()}
    turned = replace(channel, dims=names, grid=None, axes=axes)
    return viewed(turned, names, flipped=flipped)


def renamed(raw: Raw, names: Sequence[str], path: Path) -> Raw:
    """The content with the axes of its arrays named as configured, and the calibration that belongs to each.

    Channels with another number of axes are left out with a note. An axis `channel` becomes one channel for each of its items.

    Raises:
        ConfigError: If no array has this number of axes.
    """
    fitting = [channel for channel in raw.channels if len(channel.dims) == len(names)]
    if not fitting:
        shapes = ", ".join(" × ".join(map(str, c.pixels.shape)) for c in raw.channels)
        raise ConfigError(
            f"{path}: ingest.dims names {len(names)} axes, but its arrays have shape {shapes}; name "
            "every axis once, in the order of the file"
        )
    others = [channel.label for channel in raw.channels if channel not in fitting]
    notes = (f"channels with other axes were left out: {', '.join(others)}",) if others else ()
    return replace(
        raw,
        channels=tuple(
            replace(c, dims=tuple(names), axes=_renamed_axes(c.axes, c.dims, names))
            for c in fitting
        ),
        axes=_renamed_axes(raw.axes, fitting[0].dims, names),
        notes=(*raw.notes, *notes),
    )


def _renamed_axes(
    axes: Mapping[str, Axis], old: Sequence[str], new: Sequence[str]
) -> dict[str, Axis]:
    """The calibrations under the new names, as far as their units fit them."""
    pairs = zip(old, new, strict=True)
    return {b: axes[a] for a, b in pairs if a in axes and _fits(b, axes[a].units)}


def _fits(dim: str, units: str) -> bool:
    if dim in (dims.K_Y, dims.K_X):
        return is_diffraction(units)
    is_length = labels.nanometres(units) is not None
    return is_length if dim in (dims.Y, dims.X, dims.SCAN_Y, dims.SCAN_X) else not is_length


@dataclass(frozen=True)
class Item:
    """One item along an axis of an array."""

    pixels: Pixels
    axis: int
    number: int

    def __call__(self, key: Key) -> np.ndarray:
        whole = (*key[: self.axis], slice(self.number, self.number + 1, 1), *key[self.axis :])
        return self.pixels.load(whole).squeeze(self.axis)


def split_channels(raw: Raw) -> Raw:
    """The content with an axis `channel` as one channel for each of its items."""
    parts = [part for channel in raw.channels for part in _items(channel)]
    return replace(raw, channels=tuple(parts))


def _items(channel: Channel) -> list[Channel]:
    if dims.CHANNEL not in channel.dims:
        return [channel]
    axis = channel.dims.index(dims.CHANNEL)
    names = tuple(dim for dim in channel.dims if dim != dims.CHANNEL)
    n = channel.pixels.shape[axis]
    shape = tuple(size for a, size in enumerate(channel.pixels.shape) if a != axis)
    label = channel.label or "signal"
    return [
        replace(
            channel,
            label=f"{label} {number}" if n > 1 else label,
            dims=names,
            pixels=replace(
                channel.pixels,
                shape=shape,
                dtype=channel.pixels.dtype.newbyteorder("="),
                read=Item(channel.pixels, axis, number),
                chunks=None,
            ),
        )
        for number in range(n)
    ]
