"""Small finished runs of pairs, made without a training."""

from pathlib import Path

import numpy as np
import xarray as xr

from invae.config.kinds import kind_named
from invae.dims import attrs
from invae.results.schema import required_groups
from invae.storage import store

ENERGY = np.linspace(0.5, 1.2, 71)
N_SITES = 30
CENTRES = np.linspace(0.6, 1.1, N_SITES)
"""Maxima of the spectra [eV]."""
HEIGHTS = np.where(np.arange(N_SITES) % 5 == 0, 0.01, 1.0)
"""Every fifth spectrum is weak."""


def lorentzians() -> np.ndarray:
    """Spectra (site, energy)."""
    return HEIGHTS[:, None] / (1 + ((ENERGY - CENTRES[:, None]) / 0.04) ** 2)


def run_of(
    folder: Path,
    *,
    axis: np.ndarray = ENERGY,
    name: str = "energy",
    units: str = "eV",
    value_units: str = "1/eV",
    window: int = 6,
    kind: str = "pairs",
    spectra: np.ndarray | None = None,
) -> Path:
    """A run whose patch of site k is k everywhere, and whose predictions are twice the spectra."""
    measured = lorentzians() if spectra is None else spectra
    site = np.arange(N_SITES)
    coords = {
        "frame": ("site", site % 3),
        "y": ("site", 10.0 + site, attrs("y", "pixel")),
        "x": ("site", 20.0 + site, attrs("x", "pixel")),
        "y_nm": ("site", 25.0 + 2.5 * site, attrs("y", "nm")),
        "x_nm": ("site", 50.0 + 2.5 * site, attrs("x", "nm")),
    }
    root = xr.Dataset(coords=coords, attrs={"recording_kind": kind, "spectrum_axis": name})
    told = attrs("spectrum", value_units)
    pairs = xr.Dataset(
        {n: (("site", name), f * measured, told) for n, f in (("measured", 1), ("predicted", 2))},
        coords={name: (name, axis, attrs(name, units))},
    )
    needed = required_groups(kind_named(kind))
    other = {group: xr.Dataset() for group in needed if group not in ("", "pairs")}
    for group, dataset in {"": root, "pairs": pairs, **other}.items():
        store.write_dataset(folder / "result.zarr", dataset, group=group)
    patch = np.broadcast_to(site[:, None, None, None], (N_SITES, 1, window, window))
    described = xr.Dataset(
        {"patch": (("site", "channel", "patch_y", "patch_x"), patch.astype(np.float32))},
        coords={"channel": ["image"]},
        attrs={"pixel_size_nm": 2.5},
    )
    store.write_dataset(folder / "descriptors.zarr", described)
    return folder
