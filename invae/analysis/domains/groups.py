"""The part of an analysis that belongs to domains: maps, walls, descriptors of the sites, wall motion."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.association import circular_agreement
from invae.analysis.domains.frame_maps import frame_table, image_maps, wall_points
from invae.analysis.domains.motion import evolution, residence, wall_motion
from invae.analysis.domains.switching import DESCRIPTORS, describe_sites
from invae.analysis.domains.wall_normal import wall_normal
from invae.analysis.frames import chosen_frames, grid_maps
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis, Scalars
from invae.analysis.summary import frame_scalars
from invae.storage import store

REACH = 12.0
"""Largest distance of a wall point from the site whose value it takes [pixel]."""


def describe(inputs: Inputs, sites: xr.Dataset) -> xr.Dataset:
    """The sites with the descriptors of the domains and the wall direction."""
    described = describe_sites(
        _maps_of(inputs),
        sites,
        window=int(store.open_store(inputs.patches).sizes[dims.PATCH_Y]),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("descriptors"),
    )
    return sites.merge(described).assign(wall_normal=wall_normal(inputs.patches))


def _maps_of(inputs: Inputs) -> xr.Dataset:
    """Maps of all frames, lazily."""
    return store.open_store(inputs.patches, group="maps")


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `frames` of all frames, and `maps`, `walls` and `grid` of the kept frames."""
    sites, everything = groups[""], _maps_of(inputs)
    n_frames = everything.sizes[dims.FRAME]
    size = everything.sizes[dims.Y] * everything.sizes[dims.X]
    frames = chosen_frames(n_frames, n_pixels=size)
    groups["frames"] = frame_table(
        inputs.patches,
        site_frames=sites[dims.FRAME].to_numpy(),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("maps"),
    )
    images = image_maps(inputs.recording, inputs.patches, frames=frames)
    walls = wall_points(inputs.patches, sites, frames=frames, reach=REACH)
    if n_frames > 1:
        moved = _changes(inputs, frames)
        images = images.assign(
            {name: moved[name] for name in ("transition", "residence", "wall_frames")}
        )
        walls["normal_velocity"] = moved["normal_velocity"]
    groups["maps"], groups["walls"] = images, walls
    if (sites["kind"] == dims.KINDS.index("grid")).all():
        groups["grid"] = grid_maps(sites, frames=frames)


def _changes(inputs: Inputs, frames: np.ndarray) -> dict[str, xr.Variable]:
    """Wall motion, and where walls stay, on the grid of the maps."""
    everything = _maps_of(inputs)
    contours = store.open_store(inputs.patches, group="contours").load()
    numbers = frames.tolist()
    changed = evolution(everything, frames=numbers, config=inputs.config)
    motion = wall_motion(everything, contours, frames=numbers, config=inputs.config)
    stays = residence(
        everything, config=inputs.config, compute=inputs.compute, progress=inputs.part("rest")
    )
    return {
        "transition": changed["transition"].variable,
        "normal_velocity": motion["normal_velocity"].variable,
        "residence": stays["residence"].variable,
        "wall_frames": stays["wall_frames"].variable,
    }


def notes(inputs: Inputs) -> list[str]:
    """A remark if there is only one frame."""
    if _maps_of(inputs).sizes[dims.FRAME] < 2:
        return ["only one frame: no wall motion"]
    return []


def summarise(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Number of frames and walls, masked share, drift, and agreement of angle and wall direction."""
    scalars = frame_scalars(groups)
    scalars["n_walls"] = (_walls_per_frame(groups["walls"]), "mean number of walls per frame", "1")
    fraction = float(groups["frames"]["domain_fraction"].mean())
    words = "mean share of the unmasked area with positive polarization"
    scalars["domain_fraction"] = (fraction, words, "1")
    masked = float(groups["frames"]["masked_share"].mean())
    scalars["masked_share"] = (masked, "mean masked share of a frame", "1")
    sites = groups[""]
    if "angle" in sites:
        agreement = circular_agreement(sites["angle"], sites["wall_normal"], sites["cluster"])
        long_name = (
            "agreement of angle and wall direction within clusters (1: equal up to an offset)"
        )
        scalars["angle_agreement"] = (agreement, long_name, "1")
    return scalars


def _walls_per_frame(walls: xr.Dataset) -> float:
    pairs = np.column_stack([walls[dims.FRAME].to_numpy(), walls["contour"].to_numpy()])
    if not len(pairs):
        return 0.0
    frames = len(np.unique(pairs[:, 0]))
    return len(np.unique(pairs, axis=0)) / frames


ANALYSIS = Analysis(
    describe=describe,
    measured=DESCRIPTORS,
    add_groups=add_groups,
    notes=notes,
    summarise=summarise,
)
