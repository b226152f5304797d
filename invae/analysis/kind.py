"""What the analysis computes for one kind of recording alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import xarray as xr

from invae.analysis.inputs import Inputs

Groups = dict[str, xr.Dataset]
"""Groups of a result by name; the sites are ""."""
Scalars = dict[str, tuple[float, str, str]]
"""Name → value, long name and units."""


def _same_sites(inputs: Inputs, sites: xr.Dataset) -> xr.Dataset:
    return sites


def _no_groups(inputs: Inputs, groups: Groups) -> None:
    return None


def _no_notes(inputs: Inputs) -> list[str]:
    return []


def _no_scalars(groups: Mapping[str, xr.Dataset]) -> Scalars:
    return {}


@dataclass(frozen=True)
class Analysis:
    """The part of an analysis that belongs to one kind of recording; all fields are optional."""

    describe: Callable[[Inputs, xr.Dataset], xr.Dataset] = _same_sites
    """Returns the sites with more variables over `site`."""
    measured: tuple[str, ...] = ()
    """Measured variables of the sites that the group `association` compares with the latent variables."""
    add_groups: Callable[[Inputs, Groups], None] = _no_groups
    """Adds groups to the result, and variables to its sites."""
    frames: tuple[str, str] | None = None
    """Group and variable (frame, y, x) of the frames from which the patches were cut."""
    notes: Callable[[Inputs], list[str]] = _no_notes
    """Returns remarks for the report."""
    summarise: Callable[[Mapping[str, xr.Dataset]], Scalars] = _no_scalars
    """Returns scalars for the group `summary`."""


PLAIN = Analysis()
"""No additions to the analysis of every recording."""
