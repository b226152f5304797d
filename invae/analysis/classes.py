"""Model classes and conditions whose sites have their own manifold."""

import numpy as np
import xarray as xr

from invae.analysis.decoding import discrete_of, states_of
from invae.analysis.traversal import Member

MOST_CONDITIONS = 8
"""With more distinct conditions, all sites share one manifold."""


def class_names(sites: xr.Dataset) -> list[str]:
    """Names of the joint states of the model's classes, such as `1·2` for two discrete latents; none without classes."""
    sizes = discrete_of(sites).values()
    return ["·".join(str(k + 1) for k in state) for state in np.ndindex(*sizes)] if sizes else []


def empty_classes(sites: xr.Dataset) -> list[str]:
    """A remark if model classes have no sites."""
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
    """Sites that share a manifold: those of each class, or of each condition if there are few."""
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
    """`hearts` for a condition in which only the column `suit=hearts` is 1; else all of its numbers."""
    named = [name for name, value in zip(names, row, strict=True) if "=" in name and value == 1]
    if len(named) == 1 and np.count_nonzero(row) == 1:
        return named[0].partition("=")[2]
    return ", ".join(f"{name} {value:.3g}" for name, value in zip(names, row, strict=True))
