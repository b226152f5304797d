"""The part of an analysis that belongs to domains: maps, walls, descriptors of the sites, wall motion."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.association import circular_agreement
from invae.analysis.domains.dynamics import add_dynamics, dynamics, maps_with_field
from invae.analysis.domains.frame_maps import frame_table, image_maps, wall_points
from invae.analysis.domains.latent_steps import latent_steps
from invae.analysis.domains.motion import evolution, residence, wall_motion
from invae.analysis.domains.switching import DESCRIPTORS, describe_sites
from invae.analysis.domains.wall_normal import wall_normal
from invae.analysis.frames import chosen_frames, grid_maps
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis, Scalars
from invae.analysis.sizes import equivalent_diameters, pixel_area, size_scalars
from invae.analysis.summary import frame_scalars
from invae.storage import store

REACH = 12.0
"""Largest distance of a wall point from the site whose value it takes [pixel]."""


def describe(inputs: Inputs, sites: xr.Dataset) -> xr.Dataset:
    """The sites with the descriptors of the domains, the wall direction, and the same wall point in the next frame."""
    needs_forces = inputs.config.field == "walls"
    maps = dynamics(inputs).maps if needs_forces else maps_with_field(inputs, None)
    described = describe_sites(
        maps,
        sites,
        window=int(store.open_store(inputs.patches).sizes[dims.PATCH_Y]),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("descriptors"),
    )
    sites = sites.merge(described).assign(wall_normal=wall_normal(inputs.patches))
    if _is_series(maps) and (sites["kind"] == dims.KINDS.index("wall")).all():
        sites = sites.merge(latent_steps(maps, sites, compute=inputs.compute))
    return sites


def _is_series(maps: xr.Dataset) -> bool:
    return maps.sizes[dims.FRAME] > 1


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `frames` of all frames, `maps`, `walls` and `grid` of the kept frames, and the dynamics of a series."""
    sites = groups[""]
    maps = store.open_store(inputs.patches, group="maps")
    dynamic = dynamics(inputs) if _is_series(maps) and inputs.config.forces else None
    maps = maps_with_field(inputs, None) if dynamic is None else dynamic.maps
    n_frames = maps.sizes[dims.FRAME]
    size = maps.sizes[dims.Y] * maps.sizes[dims.X]
    frames = chosen_frames(n_frames, n_pixels=size)
    groups["frames"] = frame_table(
        maps,
        site_frames=sites[dims.FRAME].to_numpy(),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("maps"),
    )
    images = image_maps(inputs.recording, inputs.patches, frames=frames)
    walls = wall_points(inputs.patches, sites, frames=frames, reach=REACH)
    if _is_series(maps):
        moved = _changes(inputs, maps, frames)
        images = images.assign(
            {name: moved[name] for name in ("transition", "residence", "wall_frames")}
        )
        walls["normal_velocity"] = moved["normal_velocity"]
    groups["maps"], groups["walls"] = images, walls
    if dynamic is not None:
        add_dynamics(inputs, groups, dynamic)
    if (sites["kind"] == dims.KINDS.index("grid")).all():
        groups["grid"] = grid_maps(sites, frames=frames)


def _changes(inputs: Inputs, maps: xr.Dataset, frames: np.ndarray) -> dict[str, xr.Variable]:
    """Wall motion, and where walls stay, on the grid of the maps."""
    contours = store.open_store(inputs.patches, group="contours").load()
    numbers = frames.tolist()
    changed = evolution(maps, frames=numbers, config=inputs.config)
    motion = wall_motion(maps, contours, frames=numbers, config=inputs.config)
    stays = residence(
        maps, config=inputs.config, compute=inputs.compute, progress=inputs.part("rest")
    )
    return {
        "transition": changed["transition"].variable,
        "normal_velocity": motion["normal_velocity"].variable,
        "residence": stays["residence"].variable,
        "wall_frames": stays["wall_frames"].variable,
    }


def notes(inputs: Inputs) -> list[str]:
    """A remark if there is only one frame."""
    if not _is_series(store.open_store(inputs.patches, group="maps")):
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
    scalars |= _domain_sizes(groups["maps"])
    scalars["masked_share"] = (masked, "mean masked share of a frame", "1")
    sites = groups[""]
    if "angle" in sites:
        agreement = circular_agreement(sites["angle"], sites["wall_normal"], sites["cluster"])
        long_name = (
            "agreement of angle and wall direction within clusters (1: equal up to an offset)"
        )
        scalars["angle_agreement"] = (agreement, long_name, "1")
    return scalars


def _domain_sizes(maps: xr.Dataset) -> Scalars:
    """Sizes of the domains of both signs in all frames."""
    area, unit = pixel_area(maps[dims.Y], maps[dims.X])
    diameters = []
    for index in range(maps.sizes[dims.FRAME]):
        sign = (maps["polarization"][index].to_numpy() > 0).astype(int)
        labels = np.where(maps["valid"][index].to_numpy(), sign, -1)
        diameters.append(equivalent_diameters(labels, area=area))
    return size_scalars(np.concatenate(diameters), name="domain", word="domain", unit=unit)


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
    frames=("maps", "polarization"),
    notes=notes,
    summarise=summarise,
)
