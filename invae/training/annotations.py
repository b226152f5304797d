"""Annotations of sites: labels, variables, hints and places, in NumPy, one row per site."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from invae.errors import InputError
from invae.models.batch import Annotations

if TYPE_CHECKING:
    import xarray as xr

PLACE = ("frame", "y", "x")


@dataclass(frozen=True)
class SiteAnnotations:
    """One row per site; an annotation that no site has is absent. The names are those of `Annotations`."""

    labels: np.ndarray | None = None
    """Class of the site (site); −1 where it is not known."""
    target: np.ndarray | None = None
    """Variables that the model also infers (site, target); NaN where they are not known."""
    condition: np.ndarray | None = None
    """Variables that the model takes with the patch (site, condition)."""
    hint: np.ndarray | None = None
    """Log weights of the classes (site, state)."""
    turn: np.ndarray | None = None
    """Approximate angle (site) [rad]; NaN where it is free."""
    place: np.ndarray | None = None
    """Frame, y and x [pixel] (site, 3)."""

    def take(self, sites: np.ndarray) -> Annotations:
        """The annotations of some sites, as tensors."""
        return Annotations(
            **{name: torch.from_numpy(values[sites]) for name, values in self._present()}
        )

    def of(self, sites: np.ndarray) -> "SiteAnnotations":
        """The annotations of some sites."""
        return SiteAnnotations(**{name: values[sites] for name, values in self._present()})

    @property
    def n_labels(self) -> int:
        """Number of classes: the highest label and those below it."""
        return 0 if self.labels is None else int(self.labels.max(initial=-1)) + 1

    @property
    def n_targets(self) -> int:
        """Number of variables in the target."""
        return 0 if self.target is None else self.target.shape[1]

    @property
    def n_conditions(self) -> int:
        """Number of variables in the condition."""
        return 0 if self.condition is None else self.condition.shape[1]

    def _present(self) -> list[tuple[str, np.ndarray]]:
        return [(f.name, v) for f in fields(self) if (v := getattr(self, f.name)) is not None]


def checked_annotations(
    n_sites: int,
    *,
    labels: np.ndarray | None = None,
    target: np.ndarray | None = None,
    condition: np.ndarray | None = None,
) -> SiteAnnotations:
    """Annotations from a caller, in the types that a model takes.

    Raises:
        InputError: An annotation has the wrong length, is not finite, or is no label.
    """
    for name, values in (("labels", labels), ("target", target), ("condition", condition)):
        if values is not None and len(values) != n_sites:
            raise InputError(f"{len(values)} {name} for {n_sites} patches; give one per patch")
    if condition is not None and not np.isfinite(condition).all():
        raise InputError(f"{(~np.isfinite(condition)).sum()} conditions are NaN or infinite")
    if target is not None and np.isinf(target).any():
        raise InputError(f"{np.isinf(target).sum()} target values are infinite; NaN is unknown")
    return SiteAnnotations(
        labels=None if labels is None else _whole(labels),
        target=_columns(target),
        condition=_columns(condition),
    )


def of_store(dataset: "xr.Dataset") -> SiteAnnotations:
    """Annotations of the sites of a descriptor store: `labels`, `target`, `condition` and places."""
    variables = {
        name: dataset[name].to_numpy()
        for name in ("labels", "target", "condition")
        if name in dataset.variables
    }
    checked = checked_annotations(dataset.sizes["site"], **variables)
    return replace(checked, place=places_of(dataset).place)


def joined(parts: Sequence[SiteAnnotations], *, lengths: Sequence[int]) -> SiteAnnotations:
    """Annotations of several sets in succession; the numbers of frames continue from set to set.

    Raises:
        InputError: Sets differ in the number of variables, or only some have a condition.
    """
    return SiteAnnotations(
        labels=_joined([part.labels for part in parts], lengths, "labels", missing=-1),
        target=_joined([part.target for part in parts], lengths, "target", missing=np.nan),
        condition=_joined([part.condition for part in parts], lengths, "condition", missing=None),
        place=_continued([part.place for part in parts]),
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
        shapes_of_all = ", ".join("none" if v is None else str(v.shape) for v in values)
        raise InputError(
            f"{name} differs among the recordings ({shapes_of_all}); give all the same"
        )
    return np.concatenate(
        [
            np.full((length, *present[0].shape[1:]), missing, present[0].dtype)
            if value is None
            else value
            for value, length in zip(values, lengths, strict=True)
        ]
    )


def _continued(places: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Places of all sets, where no two sets share a frame; none if one set has no places."""
    moved, first = [], 0.0
    for place in places:
        if place is None:
            return None
        moved.append(place + np.array([first, 0, 0], place.dtype))
        first += float(place[:, 0].max(initial=-1)) + 1
    return np.concatenate(moved)


def places_of(dataset: "xr.Dataset") -> SiteAnnotations:
    """Places of the sites of a store; empty if it has none."""
    if any(name not in dataset.coords or dataset[name].dims != ("site",) for name in PLACE):
        return SiteAnnotations()
    place = np.stack([dataset[name].to_numpy() for name in PLACE], axis=-1)
    return SiteAnnotations(place=_columns(place))


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
