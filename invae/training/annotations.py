"""What is known of sites beside their patches: labels, variables, hints, places; in NumPy, by site."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from invae.errors import InputError
from invae.models.batch import Known

if TYPE_CHECKING:
    import xarray as xr

PLACE = ("frame", "y", "x")


@dataclass(frozen=True)
class SiteKnown:
    """One row per site; what is not known of any is absent. The same names as in `Known`."""

    labels: np.ndarray | None = None
    """Class of the site (site); −1 where it is not known."""
    target: np.ndarray | None = None
    """Variables that the model also infers (site, target); NaN where they are not known."""
    condition: np.ndarray | None = None
    """Variables given to the model with the patch (site, condition)."""
    hint: np.ndarray | None = None
    """Log weights of the classes (site, state)."""
    turn: np.ndarray | None = None
    """Angle near which that of the site is sought (site) [rad]; NaN where it is free."""
    place: np.ndarray | None = None
    """Frame, y and x [pixel] (site, 3)."""

    def take(self, sites: np.ndarray) -> Known:
        """The same of some sites, as tensors."""
        return Known(**{name: torch.from_numpy(values[sites]) for name, values in self._present()})

    def of(self, sites: np.ndarray) -> "SiteKnown":
        """The same of some sites."""
        return SiteKnown(**{name: values[sites] for name, values in self._present()})

    @property
    def n_labels(self) -> int:
        """Classes named by the labels: the highest and those below it."""
        return 0 if self.labels is None else int(self.labels.max(initial=-1)) + 1

    @property
    def n_targets(self) -> int:
        """Variables in the target."""
        return 0 if self.target is None else self.target.shape[1]

    @property
    def n_conditions(self) -> int:
        """Variables in the condition."""
        return 0 if self.condition is None else self.condition.shape[1]

    def _present(self) -> list[tuple[str, np.ndarray]]:
        return [(f.name, v) for f in fields(self) if (v := getattr(self, f.name)) is not None]


def checked(
    n_sites: int,
    *,
    labels: np.ndarray | None = None,
    target: np.ndarray | None = None,
    condition: np.ndarray | None = None,
) -> SiteKnown:
    """What a person gave, one row per site, of the types that a model takes.

    Raises:
        InputError: Something has the wrong length, is not finite, or is no label.
    """
    for name, values in (("labels", labels), ("target", target), ("condition", condition)):
        if values is not None and len(values) != n_sites:
            raise InputError(f"{len(values)} {name} for {n_sites} patches; give one of each")
    if condition is not None and not np.isfinite(condition).all():
        raise InputError(f"{(~np.isfinite(condition)).sum()} conditions are NaN or infinite")
    if target is not None and np.isinf(target).any():
        raise InputError(f"{np.isinf(target).sum()} target values are infinite; NaN is unknown")
    return SiteKnown(
        labels=None if labels is None else _whole(labels),
        target=_columns(target),
        condition=_columns(condition),
    )


def of_store(dataset: "xr.Dataset") -> SiteKnown:
    """What a descriptor store says of its sites: `labels`, `target`, `condition`, and where they were cut."""
    found = {
        name: dataset[name].to_numpy()
        for name in ("labels", "target", "condition")
        if name in dataset.variables
    }
    return replace(checked(dataset.sizes["site"], **found), place=places_of(dataset).place)


def joined(parts: Sequence[SiteKnown], *, lengths: Sequence[int]) -> SiteKnown:
    """What is known of the sites of several sets after each other; frames are counted on from set to set.

    Raises:
        InputError: Some sets come with a condition, or with as many variables, and others do not.
    """
    return SiteKnown(
        labels=_joined([part.labels for part in parts], lengths, "labels", missing=-1),
        target=_joined([part.target for part in parts], lengths, "target", missing=np.nan),
        condition=_joined([part.condition for part in parts], lengths, "condition", missing=None),
        place=_counted_on([part.place for part in parts]),
    )


def _joined(
    values: Sequence[np.ndarray | None],
    lengths: Sequence[int],
    name: str,
    *,
    missing: int | float | None,
) -> np.ndarray | None:
    present = [value for value in values if value is not None]
    if not present:
        return None
    shapes = {value.shape[1:] for value in present}
    if len(shapes) > 1 or (missing is None and len(present) < len(values)):
        told = ", ".join("none" if v is None else str(v.shape) for v in values)
        raise InputError(f"{name} of the recordings does not fit together ({told}); give all alike")
    return np.concatenate(
        [
            np.full((length, *present[0].shape[1:]), missing, present[0].dtype)
            if value is None
            else value
            for value, length in zip(values, lengths, strict=True)
        ]
    )


def _counted_on(places: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Places of all sets, so that no frame of one is a frame of another; none if one set does not know them."""
    moved, first = [], 0.0
    for place in places:
        if place is None:
            return None
        moved.append(place + np.array([first, 0, 0], place.dtype))
        first += float(place[:, 0].max(initial=-1)) + 1
    return np.concatenate(moved)


def places_of(dataset: "xr.Dataset") -> SiteKnown:
    """Where sites were cut, if they know it."""
    if any(name not in dataset.coords or dataset[name].dims != ("site",) for name in PLACE):
        return SiteKnown()
    place = np.stack([dataset[name].to_numpy() for name in PLACE], axis=-1)
    return SiteKnown(place=_columns(place))


def _whole(labels: np.ndarray) -> np.ndarray:
    whole = np.asarray(labels)
    if whole.ndim != 1 or (whole != np.rint(whole)).any() or whole.min(initial=0) < -1:
        raise InputError("labels are whole numbers from 0, one per patch; −1 is unknown")
    return np.ascontiguousarray(whole, dtype=np.int64)


def _columns(values: np.ndarray | None) -> np.ndarray | None:
    if values is None:
        return None
    columns = np.ascontiguousarray(values, dtype=np.float32)
    return columns[:, None] if columns.ndim == 1 else columns
