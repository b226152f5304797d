"""What is shown on frames: maps, walls, grids, and what changes between them."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis import maps
from invae.analysis.domains.pinning import evolution, pinning, wall_motion
from invae.analysis.inputs import Inputs
from invae.storage import store

REACH = 12.0
"""A wall point takes the value of the nearest site if that lies within this distance [pixel]."""


def add_images(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """The groups that show frames: `frames` of all, `maps`, `walls` and `grid` of the chosen ones."""
    sites, everything = groups[""], inputs.frame_maps()
    n_frames = everything.sizes[dims.FRAME]
    size = everything.sizes[dims.Y] * everything.sizes[dims.X]
    frames = maps.chosen_frames(n_frames, n_pixels=size)
    groups["frames"] = maps.frame_table(
        inputs.patches,
        site_frames=sites[dims.FRAME].to_numpy(),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("maps"),
    )
    images = maps.image_maps(inputs.recording, inputs.patches, frames=frames)
    walls = maps.wall_points(inputs.patches, sites, frames=frames, reach=REACH)
    if n_frames > 1:
        moved = _changes(inputs, frames)
        images = images.assign(
            {name: moved[name] for name in ("transition", "pinning", "wall_frames")}
        )
        walls["normal_velocity"] = moved["normal_velocity"]
    groups["maps"], groups["walls"] = images, walls
    if (sites["kind"] == dims.KINDS.index("grid")).all():
        groups["grid"] = maps.grid_maps(sites, frames=frames)


def _changes(inputs: Inputs, frames: np.ndarray) -> dict[str, xr.Variable]:
    """How walls move and where they stay, on the grid of the maps."""
    everything = inputs.frame_maps()
    contours = store.open_store(inputs.patches, group="contours").load()
    numbers = frames.tolist()
    changed = evolution(everything, frames=numbers, config=inputs.config)
    motion = wall_motion(everything, contours, frames=numbers, config=inputs.config)
    stays = pinning(
        everything, config=inputs.config, compute=inputs.compute, progress=inputs.part("rest")
    )
    return {
        "transition": changed["transition"].variable,
        "normal_velocity": motion["normal_velocity"].variable,
        "pinning": stays["pinning"].variable,
        "wall_frames": stays["wall_frames"].variable,
    }
