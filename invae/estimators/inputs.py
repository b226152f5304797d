"""Inputs of an estimator: arrays, labelled arrays or stores are checked and become sources of patches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from invae import dims
from invae.errors import InputError
from invae.models.likelihoods import Limits
from invae.models.signals import IMAGE
from invae.training.annotations import places_of
from invae.training.signal_sources import ArraySource, SignalSource, open_signals

if TYPE_CHECKING:
    import xarray as xr

Data: TypeAlias = "np.ndarray | xr.DataArray | str | Path | Sequence[str | Path]"
"""Patches (site, y, x) or (site, channel, y, x), or the path of a store that holds them, or paths of several."""

SITES = {
    "n": dims.SITE,
    "sites": dims.SITE,
    "patch": dims.SITE,
    "sample": dims.SITE,
    "frame": dims.SITE,
}
SITES |= {"c": dims.CHANNEL, "channels": dims.CHANNEL, "y": dims.PATCH_Y, "x": dims.PATCH_X}
SITES |= {
    "row": dims.PATCH_Y,
    "column": dims.PATCH_X,
    "energy": dims.PATCH_X,
    "voltage": dims.PATCH_X,
}
"""Other names of the axes of patches."""
ORDER = (dims.SITE, dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
FEW, MANY = 4, 8
"""Most channels, and fewest pixels along a side, that make an axis of patches look like one or the other."""
PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)


def several(patches: Data) -> list[Path]:
    """Paths of several stores; an empty list for other inputs."""
    if not isinstance(patches, list | tuple):
        return []
    return [Path(path) for path in patches if isinstance(path, str | Path)]


def in_order(patches: Data, names: Sequence[str] | None) -> Data:
    """Patches as (site, channel, y, x) with the axes that they have; stores unchanged.

    Args:
        patches: Arrays in any order of axes if they are named.
        names: `site`, `channel`, `y`, `x` (or `energy`, `voltage` of spectra) for the axes of a plain array; the names of a
            labelled array count otherwise.

    Raises:
        InputError: If the names do not fit the array.
    """
    if isinstance(patches, str | Path | list | tuple):
        return patches
    array: Any = patches
    own = names if names is not None else getattr(array, "dims", None)
    if own is None:
        return patches
    spelled = _spelled(own)
    if not {*spelled} <= {*ORDER} or len({*spelled}) != array.ndim:
        if names is None:
            return patches  # a labelled array with names of its own: in the usual order
        raise InputError(
            f"dims are {', '.join(names)} for patches of shape {array.shape}; name every axis "
            "once: site, channel, y, x"
        )
    axes = [spelled.index(dim) for dim in ORDER if dim in spelled]
    if names is None:
        ordered = array.transpose(*(own[axis] for axis in axes))
        return ordered if dims.SITE in spelled else ordered.expand_dims(dims.SITE)
    values = np.transpose(np.asarray(array), axes)
    return values if dims.SITE in spelled else values[None]


def _spelled(names: Sequence[object]) -> list[str]:
    return [SITES.get(str(name).lower(), str(name).lower()) for name in names]


def roles_of(names: Sequence[str]) -> list[str]:
    """The axes that dimensions of a labelled array stand for; in the usual order if they have names of their own."""
    spelled = _spelled(names)
    if {*spelled} <= {*ORDER} and len({*spelled}) == len(names):
        return spelled
    return [dims.SITE, *PIXELS[len(ORDER) - len(names) :]]


def refuse_ambiguous(patches: Data) -> None:
    """Refuse plain arrays of a shape that has several readings.

    Raises:
        InputError: With the readings and how to say which one it is.
    """
    if not isinstance(patches, np.ndarray):
        return
    shape, readings = patches.shape, ""
    if len(shape) == 2 and shape[0] == shape[1] >= MANY:
        readings = f"one image (dims=['y', 'x']) or {shape[0]} spectra (dims=['site', 'energy'])"
    elif len(shape) == 3 and shape[2] <= FEW and shape[1] >= MANY:
        readings = (
            "one image with its channels last (dims=['y', 'x', 'channel']) or narrow patches "
            "(dims=['site', 'y', 'x'])"
        )
    elif len(shape) == 4 and shape[3] <= FEW and min(shape[1:3]) >= MANY:
        readings = (
            "patches with their channels last (dims=['site', 'y', 'x', 'channel']) or with many "
            "channels (dims=['site', 'channel', 'y', 'x'])"
        )
    if readings:
        raise InputError(
            f"an array of shape {' × '.join(map(str, shape))} may be {readings}; say dims"
        )


def refuse_mask(patches: Data, given: Any) -> None:
    """Refuse a mask or a condition for stores, which have their own.

    Raises:
        InputError: One is given.
    """
    if given is not None:
        raise InputError(f"{patches} has its own mask and condition; leave `valid` and others out")


def source_of(
    patches: Data,
    valid: np.ndarray | None,
    *,
    limits: Mapping[str, Limits | None],
    names: Sequence[str] | None = None,
) -> tuple[SignalSource, "xr.Dataset | None"]:
    """A source of patches, and the Dataset with their coordinates, if there is one; `names` are those of the axes."""
    import xarray as xr

    if valid is not None:
        valid = np.asarray(in_order(np.asarray(valid), names or getattr(patches, "dims", None)))
    patches = in_order(patches, names)

    if isinstance(patches, str | Path):
        refuse_mask(patches, valid)
        from invae.storage import store

        return open_signals(Path(patches), limits=limits), store.open_store(patches)
    values = np.asarray(patches)
    if values.ndim == 2:  # spectra: one row each
        values = values[:, None]
        valid = None if valid is None else np.asarray(valid)[:, None]
    if values.ndim == 3:
        values = values[:, None]
        valid = None if valid is None else np.asarray(valid)[:, None]
    source = ArraySource(values, valid, limits=limits.get(IMAGE))
    if not isinstance(patches, xr.DataArray):
        return source, None
    names = (dims.SITE, *PIXELS[4 - patches.ndim :])
    dataset = patches.rename(dict(zip(patches.dims, names, strict=True)))
    missing = PIXELS[: 4 - patches.ndim]
    dataset = dataset.expand_dims(missing, axis=range(1, 1 + len(missing))).to_dataset(name="patch")
    return source.annotated(places_of(dataset)), dataset


def condition_columns(condition: Any, n_conditions: int) -> np.ndarray:
    """Conditions as columns: classes given as whole numbers become one column each, 0 or 1."""
    values = np.asarray(condition)
    if values.ndim != 1 or values.dtype.kind not in "iub":
        return values
    n_classes = max(n_conditions, int(values.max(initial=0)) + 1)
    if values.min(initial=0) < 0:
        raise InputError(f"condition {values.min()} is no class; classes count from 0")
    return np.eye(n_classes, dtype=np.float32)[values.astype(np.int64)]


def numbers_of(name: str, values: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """Finite values of a shape as a tensor.

    Raises:
        InputError: A value is not finite, or their number is wrong.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.size != np.prod(shape) or not np.isfinite(values).all():
        raise InputError(f"{name} has shape {values.shape}; finite values of {shape} are needed")
    return torch.from_numpy(values.reshape(shape).copy())
