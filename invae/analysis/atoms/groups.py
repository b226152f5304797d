"""The part of an analysis that belongs to atoms: vacancies, and tracks of atoms over time."""

from collections.abc import Mapping

import xarray as xr

from invae.analysis.atoms.lattice_constants import lattice_scalars
from invae.analysis.atoms.tracks import track_table
from invae.analysis.images import add_images
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis, Scalars
from invae.analysis.summary import frame_scalars
from invae.storage import store

MEASURED = (
    "intensity",
    "width",
    "ellipticity",
    "nearest_distance",
    "mean_distance",
    "displacement",
    "contrast",
)
"""Properties measured on the image by the describe stage, one number per atom."""


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `images`, `frames`, `outliers`, `vacancies`, and in a movie `tracks`."""
    add_images(inputs, groups)
    if inputs.has_patch_group("frames"):
        drift = store.open_store(inputs.patches, group="frames")["drift"].load()
        groups["frames"] = groups["frames"].assign(drift=drift)
    if inputs.has_patch_group("vacancies"):
        groups["vacancies"] = store.open_store(inputs.patches, group="vacancies").load()
    sites = groups[""]
    if len(groups["frames"]["frame"]) > 1 and "track" in sites:
        groups["tracks"] = track_table(sites)


def summarise(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Counts of frames, outliers, vacancies and tracks; lattice constants."""
    scalars = frame_scalars(groups)
    if "vacancies" in groups:
        n_vacancies = groups["vacancies"].sizes["vacancy"]
        long_name = "vacancies in all frames"
        scalars["n_vacancies"] = (n_vacancies, long_name, "1")
    if "tracks" in groups:
        scalars["n_tracks"] = (groups["tracks"].sizes["track"], "tracked atoms", "1")
    return {**scalars, **lattice_scalars(groups[""])}


ANALYSIS = Analysis(
    measured=MEASURED, add_groups=add_groups, frames=("images", "image"), summarise=summarise
)
