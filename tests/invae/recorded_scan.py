"""4D-STEM recordings made by hand: discs that bend where the sample bends them."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.storage import store

SCAN = (dims.SCAN_Y, dims.SCAN_X)
DETECTOR = (dims.K_Y, dims.K_X)
CONVERGENCE = 30.0
"""[mrad]"""


def disc(n_k: int, *, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Share of every detector pixel that a disc covers, its edge one pixel wide (k_y, k_x)."""
    y, x = np.indices((n_k, n_k))
    return np.clip(radius + 0.5 - np.hypot(y - centre[0], x - centre[1]), 0, 1)


def lobed(
    angle: np.ndarray,
    strength: np.ndarray,
    *,
    n_k: int = 24,
    centre: tuple[float, float] = (11.5, 11.5),
    radius: float = 9.0,
) -> np.ndarray:
    """Discs with one bright side and three lobes, turned by `angle` [rad], (scan_y, scan_x, k_y, k_x), mean 1 inside."""
    y, x = (np.indices((n_k, n_k)).T - np.array(centre)).T / radius
    along = np.arctan2(-y, x) - angle[..., None, None]
    lobes = 0.6 * np.cos(along) + 0.5 * np.cos(3 * along)
    shape = 1 + strength[..., None, None] * np.hypot(y, x) * lobes
    return np.clip(shape, 0.02, None) * disc(n_k, centre=centre, radius=radius)


def write_scan(
    path: Path,
    patterns: np.ndarray,
    *,
    centre: tuple[float, float],
    radius: float,
    valid: np.ndarray | None = None,
    step_nm: float = 0.02,
    k_units: str = "mrad",
) -> Path:
    """A recording as ingest leaves it: patterns, and the group `maps`."""
    n_y, n_x, *n_k = patterns.shape
    size = CONVERGENCE / radius
    k = [(np.arange(n) - middle) * size for n, middle in zip(n_k, centre, strict=True)]
    coords = {
        **{
            name: (name, np.arange(n) * step_nm, dims.attrs(name, "nm"))
            for name, n in zip(SCAN, (n_y, n_x), strict=True)
        },
        **{name: (name, v, dims.attrs(name, k_units)) for name, v in zip(DETECTOR, k, strict=True)},
    }
    told = {"modality": "4D-STEM", "format": "by hand", "notes": [], "sources": ["by hand"]}
    counts = dims.attrs("diffraction pattern", "count")
    root = xr.Dataset(
        {"pattern": ((*SCAN, *DETECTOR), patterns, counts)}, coords, {**told, "convergence_mrad": CONVERGENCE}
    )  # fmt: skip
    store.write_dataset(path, root)
    store.write_dataset(path, _maps(patterns, coords, centre, radius, valid), group="maps")
    return path


def _maps(
    patterns: np.ndarray,
    coords: dict[str, tuple[str, np.ndarray, dict[str, object]]],
    centre: tuple[float, float],
    radius: float,
    valid: np.ndarray | None,
) -> xr.Dataset:
    y, x = np.indices(patterns.shape[2:])
    distance = np.hypot(y - centre[0], x - centre[1])
    values = patterns.astype(float) * (True if valid is None else valid)
    total = values.sum((2, 3))
    bands = {"sum": (0, np.inf), "bf": (0, 1), "abf": (0.5, 1), "haadf": (1.2, np.inf)}
    found = {
        name: (values * ((distance >= low * radius) & (distance < high * radius))).sum((2, 3))
        for name, (low, high) in bands.items()
    }
    size = CONVERGENCE / radius
    for name, places in (("com_y", y - centre[0]), ("com_x", x - centre[1])):
        found[name] = size * (values * places).sum((2, 3)) / total
    found["com_r"] = np.hypot(found["com_y"], found["com_x"])
    maps = {
        name: (SCAN, map_, dims.attrs(name, "mrad" if name.startswith("com") else "count"))
        for name, map_ in found.items()
    }
    working = np.ones(patterns.shape[2:], bool) if valid is None else valid
    ring = np.rint(distance).astype(int)
    sizes = np.bincount(ring.ravel())
    profile = np.stack(
        [
            np.bincount(ring.ravel(), pattern.ravel()) / sizes
            for pattern in values.reshape(-1, *patterns.shape[2:])
        ]
    ).reshape(*patterns.shape[:2], -1)
    return xr.Dataset(
        {
            **maps,
            "mean_pattern": (DETECTOR, values.mean((0, 1)), dims.attrs("mean pattern", "count")),
            "max_pattern": (DETECTOR, values.max((0, 1)), dims.attrs("maximum", "count")),
            "detector_valid": (DETECTOR, working, dims.attrs("neither hot nor dead")),
            "radial_profile": ((*SCAN, "k"), profile, dims.attrs("radial profile", "count")),
        },
        {**coords, "k": ("k", np.arange(len(sizes)) * size, dims.attrs("distance", "mrad"))},
        {
            "centre": list(centre),
            "disc_radius": radius,
            "ellipse_ratio": 1.0,
            "ellipse_angle": 0.0,
            "scan_rotation": 0.0,
            "transposed": False,
        },
    )
