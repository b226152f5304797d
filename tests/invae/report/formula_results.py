"""Results whose values are formulas of their indices: the same on every machine, whatever a training would give.

Only the groups and variables that the compared figures read.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from invae import dims

ROWS, COLUMNS, N_FRAMES = 40, 60, 2
STEP = 6
"""Distance of neighbouring sites [pixel]."""
PIXEL_NM = 0.05
N_CLASSES, N_LATENTS, N_NODES, N_EPOCHS, SIDE = 3, 2, 5, 12, 16
N_EXAMPLES = 6


def atoms() -> dict[str, xr.Dataset]:
    """Atoms on a square lattice in two frames, in three classes."""
    sites = _sites("atoms")
    return {
        "": sites,
        "images": xr.Dataset({"image": (dims.IMAGE, _lattice_images())}, coords=_frame_coords()),
        "frames": xr.Dataset(
            {"n_sites": (dims.FRAME, np.full(N_FRAMES, sites.sizes[dims.SITE] // N_FRAMES))}
        ),
        "traversal": _traversal(),
        "examples": _examples(),
        "training": _training(),
        "summary": xr.Dataset(),
    }


def domains() -> dict[str, xr.Dataset]:
    """Two frames with one straight domain wall that has moved between them."""
    y, x = np.indices((ROWS, COLUMNS))
    where = np.array([20.0, 32.0])
    polarization = np.tanh((x - where[:, None, None]) / 4) * np.cos(y / 40)
    valid = np.ones(polarization.shape, bool)
    valid[1, :6] = False
    maps = {
        "polarization": polarization,
        "amplitude": np.abs(polarization) * 2e-10,
        "phase": np.where(polarization > 0, 80.0, -100.0),
        "height": 3 * np.sin(x / 9 + y / 13) + np.zeros((N_FRAMES, 1, 1)),
    }
    units = {"amplitude": "m", "phase": "degree", "height": "nm", "polarization": "1"}
    points = np.arange(0.0, ROWS)
    return {
        "": _sites("walls"),
        "maps": xr.Dataset(
            {name: (dims.IMAGE, values, {"units": units[name]}) for name, values in maps.items()}
            | {"valid": (dims.IMAGE, valid)},
            coords=_frame_coords(),
        ),
        "walls": xr.Dataset(
            {
                "y": ("point", np.tile(points, N_FRAMES)),
                "x": ("point", np.repeat(where, len(points))),
                "contour": ("point", np.repeat([0, 1], len(points))),
                "frame": ("point", np.repeat(np.arange(N_FRAMES), len(points))),
            }
        ),
        "frames": xr.Dataset({"masked_share": (dims.FRAME, [0.0, 0.15])}),
        "summary": xr.Dataset({"n_walls": 1.0}),
    }


def scan() -> dict[str, xr.Dataset]:
    """A 4D-STEM scan of stripes with one unusual place."""
    y, x = np.indices((20, 30))
    where = (dims.SCAN_Y, dims.SCAN_X)
    wave = np.sin(x / 3)
    place = np.exp(-((y - 12) ** 2 + (x - 20) ** 2) / 8)
    maps = {
        "haadf": 1 + wave,
        "com_x": np.cos(x / 3),
        "com_y": np.sin(y / 4),
        "com_r": np.hypot(np.cos(x / 3), np.sin(y / 4)),
        "angle_map": np.pi * np.sin(x / 5 + y / 7),
        "error_map": 0.1 + place,
        "surprise_map": 4 * place,
    }
    data = {name: (where, values, {"units": "1"}) for name, values in maps.items()}
    content = np.stack((wave, np.cos(y / 6)), axis=-1)
    sites = xr.Dataset(
        {"content": ((dims.SITE, dims.LATENT), content.reshape(-1, 2))},
        attrs={"recording_kind": "patterns"},
    )
    return {
        "": sites,
        "scan": xr.Dataset(
            {
                **data,
                "content_map": ((*where, dims.LATENT), content),
                "cluster_map": (where, (x // 10).astype(np.int32)),
            },
            coords={
                dims.SCAN_Y: (dims.SCAN_Y, np.arange(20) * 0.02, {"units": "nm"}),
                dims.SCAN_X: (dims.SCAN_X, np.arange(30) * 0.02, {"units": "nm"}),
            },
        ),
        "summary": xr.Dataset(),
    }


def _sites(kind: str) -> xr.Dataset:
    """Sites on a square lattice in every frame; content rises along x and along y."""
    y, x = np.meshgrid(np.arange(4, ROWS, STEP), np.arange(4, COLUMNS, STEP), indexing="ij")
    y, x = (np.tile(values.ravel().astype(float), N_FRAMES) for values in (y, x))
    frame = np.repeat(np.arange(N_FRAMES), len(y) // N_FRAMES)
    content = np.stack((x / COLUMNS * 3 - 1.5, y / ROWS * 2 - 1 + 0.3 * np.sin(x)), axis=1)
    label = (x // STEP).astype(int) % N_CLASSES
    error = 0.2 + 0.1 * np.sin(x * y)
    over_site = {
        "angle": np.pi * np.sin(x / 9),
        "cluster": label,
        "joint_class": label,
        "reconstruction_error": error,
        "held_out": np.arange(len(x)) % 5 == 0,
    }
    return xr.Dataset(
        {name: (dims.SITE, values) for name, values in over_site.items()}
        | {
            "content": ((dims.SITE, dims.LATENT), content),
            "pca_error": (dims.SITE, error + 0.08, {"n_components": N_LATENTS}),
            "cluster_probability": ((dims.SITE, "cluster_name"), np.eye(N_CLASSES)[label]),
        },
        coords={"frame": (dims.SITE, frame), "y": (dims.SITE, y), "x": (dims.SITE, x)}
        | {"kind": (dims.SITE, np.full(len(x), dims.KINDS.index("atom")))},
        attrs={"recording_kind": kind},
    )


def _lattice_images() -> np.ndarray:
    y, x = np.indices((ROWS, COLUMNS))
    image = np.cos(np.pi * (y - 4) / STEP) ** 8 * np.cos(np.pi * (x - 4) / STEP) ** 8
    return np.stack((image, 0.8 * image + 0.1 * x / COLUMNS))


def _frame_coords() -> Mapping[str, tuple[str, np.ndarray, dict[str, str]]]:
    return {
        dims.FRAME: (dims.FRAME, np.arange(N_FRAMES), {}),
        "time": (dims.FRAME, np.arange(N_FRAMES) * 30.0, {"units": "s"}),
        dims.Y: (dims.Y, np.arange(ROWS) * PIXEL_NM, {"units": "nm"}),
        dims.X: (dims.X, np.arange(COLUMNS) * PIXEL_NM, {"units": "nm"}),
    }


def _blob(width: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Patches (…, 1, y, x) of a bright spot, by its width and its offset along x [pixel]."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    width, offset = (np.asarray(v, float)[..., None, None, None] for v in (width, offset))
    return np.exp(-(y**2 + (x - offset) ** 2) / (2 * width**2))


def _traversal() -> xr.Dataset:
    nodes = np.linspace(-1.5, 1.5, N_NODES)
    width, offset = np.meshgrid(2.5 + nodes, 2 * nodes, indexing="ij")
    count = np.ones((1, N_NODES, N_NODES))
    count[0, 0, 0] = 0
    manifold = _blob(width, offset)[None]
    manifold[0, 0, 0] = np.nan
    over = (dims.CLASS, "latent_1", "latent_2")
    return xr.Dataset(
        {
            "manifold": ((*over, dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X), manifold),
            "n_sites": (over, count),
            "class_name": (dims.CLASS, ["all"]),
        },
        coords={dims.CHANNEL: ["image"]}
        | {
            name: (name, nodes, {"content_dimension": number})
            for number, name in enumerate(("latent_1", "latent_2"))
        },
    )


def _examples() -> xr.Dataset:
    number = np.arange(N_EXAMPLES)
    patch = _blob(2 + 0.3 * number, number - 2.5)
    over = ("example", dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
    return xr.Dataset(
        {
            "patch": (over, patch),
            "reconstruction": (over, _blob(2.2 + 0.3 * number, 0.8 * (number - 2.5))),
            "error": ("example", 0.05 + 0.02 * number),
            "rank": ("example", number // 2),
        },
        coords={dims.CHANNEL: ["image"]},
    )


def _training() -> xr.Dataset:
    epoch = np.arange(N_EPOCHS)
    rising = -400 * np.exp(-epoch / 3) - 200
    curves = {
        "elbo_training": rising,
        "elbo_held_out": rising - 5 - 0.8 * epoch,
        "kl_content_held_out": 6 * (1 - np.exp(-epoch / 4)),
        "kl_angle_held_out": 3 * (1 - np.exp(-epoch / 2)),
        "best": epoch == 8,
    }
    return xr.Dataset(
        {name: (dims.EPOCH, values) for name, values in curves.items()},
        coords={dims.EPOCH: epoch},
    )
