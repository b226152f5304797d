"""Axes of arrays that have no names: taken where their shape has one sensible reading, otherwise asked for."""

from collections.abc import Sequence

from invae import dims
from invae.errors import InputError
from invae.readers.axis_roles import Names, Roles

NARROWEST = 8
"""Smallest side of a frame or pattern that is believed without names [pixel]; smaller axes are channels, colours or samples."""
NARROWEST_IMAGE = 4
"""Smallest side of a single image, which has no other reading than a table [pixel]."""
MOST_CHANNELS = 4
"""Largest second axis that looks like channels of images rather than like a row of a scan."""
IMAGE = (dims.Y, dims.X)
FRAMES = (dims.FRAME, *IMAGE)
SCAN = (dims.SCAN_Y, dims.SCAN_X, dims.K_Y, dims.K_X)
CHANNELS_LAST, CHANNELS_FIRST = (*FRAMES, dims.CHANNEL), (dims.FRAME, dims.CHANNEL, *IMAGE)
CHANNEL_IMAGE, SPECTRA = (*IMAGE, dims.CHANNEL), (*IMAGE, "energy")
WORDS = {
    IMAGE: "an image of {0} × {1} pixels",
    FRAMES: "{0} frames of {1} × {2} pixels",
    SCAN: "a scan of {0} × {1} patterns of {2} × {3} pixels",
    CHANNELS_LAST: "{0} frames of {1} × {2} pixels, channels last ({3})",
    CHANNELS_FIRST: "{0} frames of {2} × {3} pixels, channels second ({1})",
    CHANNEL_IMAGE: "an image of {0} × {1} pixels with {2} channels",
    SPECTRA: "a grid of {0} × {1} spectra of {2} values",
}


def roles_of_shape(shape: Sequence[int], *, source: str) -> Roles:
    """The axes of an array without names, by its shape, with a note on what was assumed.

    Args:
        shape: Shape of the array.
        source: What the array is called in messages.

    Raises:
        InputError: If several readings are sensible, or none; the message names them and the setting.
    """
    if len(shape) not in (2, 3, 4):
        return Roles(tuple(f"axis_{n}" for n in range(len(shape))))
    readings = _readings(tuple(shape))
    if len(readings) > 1 or _is_narrow(shape, readings[0]):
        raise InputError(_question(shape, readings, source))
    if len(shape) == 2:
        return Roles(IMAGE)
    return Roles(readings[0], (_note(shape, readings[0]),))


def _readings(shape: tuple[int, ...]) -> list[Names]:
    """The sensible readings of a shape, the usual one first."""
    if len(shape) == 2:
        return [IMAGE]
    if len(shape) == 3:
        first, second, last = shape
        if last < NARROWEST:
            return [CHANNEL_IMAGE, SPECTRA]
        return [FRAMES, SPECTRA] if first == second != last else [FRAMES]
    if shape[3] == 1:
        return [CHANNELS_LAST]
    if min(shape[2:]) < NARROWEST:
        return [CHANNELS_LAST, SCAN]
    if shape[1] == 1:
        return [CHANNELS_FIRST]
    if shape[1] <= MOST_CHANNELS and shape[0] > shape[1]:
        return [CHANNELS_FIRST, SCAN]
    return [SCAN]


def _is_narrow(shape: Sequence[int], names: Names) -> bool:
    """Whether frames or patterns would have fewer pixels along one side than anyone records."""
    sides = [n for n, dim in zip(shape, names, strict=True) if dim in (*IMAGE, dims.K_Y, dims.K_X)]
    return min(sides) < (NARROWEST_IMAGE if names == IMAGE else NARROWEST)


def _question(shape: Sequence[int], readings: Sequence[Names], source: str) -> str:
    sizes = " × ".join(map(str, shape))
    offers = "; ".join(
        f"{WORDS[names].format(*shape)} (dims=[{','.join(names)}])" for names in readings
    )
    return f"{source}: an array of shape {sizes} may be {offers}; set ingest.dims to what it is"


def _note(shape: Sequence[int], names: Names) -> str:
    words = WORDS[names].format(*shape)
    return f"the array does not name its axes; it is taken as {words} (set ingest.dims if this is wrong)"
