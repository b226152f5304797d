"""Images of several sizes or areas in one file: those of one area are kept, since a recording has one grid of pixels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from invae import dims
from invae.readers.channel_roles import kind_of_label
from invae.readers.labels import channel_name, nanometres
from invae.readers.raw import Axis, Channel, Raw

SAME_SIZE = 1e-3
"""Largest relative difference of two pixel sizes that counts as rounding."""
IMAGES = ({dims.Y, dims.X}, {dims.FRAME, dims.Y, dims.X})
"""Axes of images and of series of images."""


def of_one_area(raw: Raw, *, wanted: Collection[str] | None = None) -> Raw:
    """The content with the images of one area only, and a note on the others; unchanged if it holds more than images.

    Preferred is the area with the wanted channels, then one with amplitude and phase, then the one with most values.

    Args:
        raw: Content of a file.
        wanted: Names of the channels to keep; none if all are equally welcome.
    """
    if not all({*channel.dims} in IMAGES for channel in raw.channels):
        return raw
    areas = _areas(raw.channels, raw)
    if len(areas) < 2:
        return raw
    kept = max(areas, key=lambda area: _merit(area, wanted or ()))
    others = [channel for area in areas if area is not kept for channel in area]
    return replace(
        raw,
        channels=tuple(c for c in raw.channels if not any(c is other for other in others)),
        axes=_fitting({**raw.axes, **kept[0].axes}, kept[0]),
        notes=(*raw.notes, _note(others, kept)),
    )


def _areas(images: Sequence[Channel], raw: Raw) -> list[list[Channel]]:
    """The images in groups of one grid of pixels each."""
    areas: list[list[Channel]] = []
    for channel in images:
        like = (area for area in areas if _alike(channel, area[0], raw))
        area = next(like, None)
        if area is None:
            areas.append([channel])
        else:
            area.append(channel)
    return areas


def _alike(one: Channel, other: Channel, raw: Raw) -> bool:
    if {*one.dims} != {*other.dims} or _sizes(one) != _sizes(other):
        return False
    steps = [
        [_step(c.axes.get(d) or raw.axes.get(d)) for d in (dims.Y, dims.X)] for c in (one, other)
    ]
    return bool(np.allclose(*steps, rtol=SAME_SIZE, atol=0, equal_nan=True))


def _fitting(axes: Mapping[str, Axis], channel: Channel) -> dict[str, Axis]:
    """The axes without those of images with another number of pixels."""
    sizes = _sizes(channel)
    return {
        d: axis for d, axis in axes.items() if len(axis.values) == sizes.get(d, len(axis.values))
    }


def _sizes(channel: Channel) -> dict[str, int]:
    return dict(zip(channel.dims, channel.pixels.shape, strict=True))


def _step(axis: Axis | None) -> float:
    """Distance of two pixels [nm, or pixel without a length unit]."""
    if axis is None or len(axis.values) < 2:
        return 1.0
    return float(axis.values[1] - axis.values[0]) * (nanometres(axis.units) or 1.0)


def _merit(area: Sequence[Channel], wanted: Collection[str]) -> tuple[int, bool, int]:
    names = [channel.name or channel_name(channel.label)[0] for channel in area]
    n_wanted = sum(any(w == name or w.startswith(f"{name}_") for name in names) for w in wanted)
    kinds = {kind_of_label(channel.label) for channel in area}
    n_values = sum(int(np.prod(channel.pixels.shape)) for channel in area)
    return n_wanted, kinds >= {"amplitude", "phase"}, n_values


def _note(others: Sequence[Channel], kept: Sequence[Channel]) -> str:
    listed = ", ".join(f"{channel.label} ({_words(channel)})" for channel in others)
    return (
        f"left out, since they are of another size or area than {kept[0].label} ({_words(kept[0])}): {listed}; "
        "ingest.channels chooses others"
    )


def _words(channel: Channel) -> str:
    sizes = _sizes(channel)
    return f"{sizes[dims.Y]} × {sizes[dims.X]} px"
