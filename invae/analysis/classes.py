"""Classes and conditions of a model, as sites that have a manifold of their own."""

import numpy as np
import xarray as xr

from invae.analysis.decoding import discrete_of, states_of
from invae.analysis.traversal import Member

MOST_CONDITIONS = 8
"""Conditions that differ more often than this share one manifold."""


def class_names(sites: xr.Dataset) -> list[str]:
    """Names of the joint states of the model's classes, `1·2` the second one's second; none without classes."""
    sizes = discrete_of(sites).values()
    return ["·".join(str(k + 1) for k in state) for state in np.ndindex(*sizes)] if sizes else []


def empty_classes(sites: xr.Dataset) -> list[str]:
    """A line if classes of the model hold no sites."""
    state, names = states_of(sites), class_names(sites)
    if state is None:
        return []
    none = [name for k, name in enumerate(names) if not (state == k).any()]
    if not none:
        return []
    return [
        f"{len(none)} of {len(names)} model classes have no sites ({', '.join(none)}); "
        "use fewer classes, or more epochs and sites"
    ]


def members_of(sites: xr.Dataset) -> list[Member]:
    """Sites that have a manifold of their own: of each class, or of each condition where there are few."""
    state = states_of(sites)
    if state is not None:
        names = class_names(sites)
        return [Member(n, state == k, {"class": np.array([k])}) for k, n in enumerate(names)]
    if "condition" not in sites.variables:
        return []
    rows, which = np.unique(sites["condition"].to_numpy(), axis=0, return_inverse=True)
    if len(rows) > MOST_CONDITIONS:
        return []
    names = [str(name) for name in sites["condition_name"].to_numpy()]
    return [
        Member(_condition_name(row, names), which == k, {"condition": row})
        for k, row in enumerate(rows)
    ]


def _condition_name(row: np.ndarray, names: list[str]) -> str:
    """`hearts` of a condition whose column `suit=hearts` alone is 1; else all its numbers."""
    named = [name for name, value in zip(names, row, strict=True) if "=" in name and value == 1]
    if len(named) == 1 and np.count_nonzero(row) == 1:
        return named[0].partition("=")[2]
    return ", ".join(f"{name} {value:.3g}" for name, value in zip(names, row, strict=True))
