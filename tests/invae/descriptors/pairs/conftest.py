"""Recordings of spectra beside images, made of formulas."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from invae.dims import attrs
from invae.storage import store

Write = Callable[..., Path]
PIXEL = 2.0
"""[nm]"""
ENERGY = np.linspace(1.0, 2.0, 33)
"""[eV]"""


def peak(centre: np.ndarray, *, width: float = 0.1) -> np.ndarray:
    """Lorentzians of height 1 (…, energy)."""
    return 1 / (1 + ((ENERGY - np.asarray(centre)[..., None]) / width) ** 2)


def noisy(spectra: np.ndarray, *, sd: float = 0.01, seed: int = 0) -> np.ndarray:
    return spectra + sd * np.random.default_rng(seed).normal(size=spectra.shape)


def image_of(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A smooth image at any place [px]."""
    return np.sin(0.31 * y) + np.cos(0.23 * x) + 0.01 * x * y


def axis(name: str, values: np.ndarray, units: str) -> tuple[str, np.ndarray, dict[str, Any]]:
    return name, values, attrs(name, units)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a recording as ingest leaves it; returns its path."""

    def save(variables: Mapping[str, Any], coords: Mapping[str, Any], **told: object) -> Path:
        path = tmp_path / "sample" / "recording.zarr"
        energy = {"energy": axis("energy", ENERGY, "eV")}
        known = {"modality": "EELS", "notes": [], "sources": ["sample.zarr"], **told}
        store.write_dataset(path, xr.Dataset(dict(variables), energy | dict(coords), known))
        return path

    return save


def grid(
    shape: tuple[int, int] = (10, 12), *, spectra: np.ndarray | None = None, image: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spectra on a grid, with an image of the grid."""
    y, x = np.indices(shape, float)
    if spectra is None:
        spectra = noisy(peak(1.4 + 0.01 * x))
    variables: dict[str, Any] = {"eels": (("y", "x", "energy"), spectra.astype(np.float32), attrs("eels", "count"))}  # fmt: skip
    if image:
        variables["haadf"] = (("frame", "y", "x"), image_of(y, x)[None], attrs("haadf"))
    places = {name: axis(name, np.arange(n) * PIXEL, "nm") for name, n in zip("yx", shape, strict=True)}  # fmt: skip
    return variables, places


def points(places: np.ndarray, *, frames: np.ndarray | None = None, n: int = 40) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Spectra at points (point, 2), (y, x) [px], in images of n × n px."""
    frames = np.zeros(len(places), np.int64) if frames is None else frames
    y, x = np.indices((n, n), float)
    shown = np.stack([image_of(y, x) + 5 * frame for frame in range(int(frames.max()) + 1)])
    spectra = noisy(peak(1.3 + 0.01 * places[:, 1]))
    variables = {
        "eels": (("point", "energy"), spectra.astype(np.float32), attrs("eels", "count")),
        "haadf": (("frame", "y", "x"), shown, attrs("haadf")),
    }
    coords = {name: axis(name, np.arange(n) * PIXEL, "nm") for name in "yx"}
    coords |= {
        "frame": axis("frame", np.arange(len(shown)), "1"),
        "point_frame": ("point", frames, attrs("frame")),
        "point_y_nm": ("point", places[:, 0] * PIXEL, attrs("y", "nm")),
        "point_x_nm": ("point", places[:, 1] * PIXEL, attrs("x", "nm")),
        "specimen": ("point", frames + 7, attrs("specimen")),
    }
    return variables, coords
