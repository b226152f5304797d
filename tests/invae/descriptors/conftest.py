"""Recordings that fit on a page: analytic domains in a rough sample, as a store."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
import xarray as xr

from invae.config import ComputeConfig, DescribeConfig, WallsConfig
from invae.descriptors.describe import describe
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt

UNITS = {"phase": "rad", "amplitude": "pm", "height": "nm", "deflection": "nm"}
ONE = ComputeConfig(workers=1)

Describe = Callable[..., Path]
Record = Callable[..., Path]


def texture(shape: tuple[int, int], *, seed: int, size: float = 3.0) -> np.ndarray:
    """A rough surface with sd 1."""
    image = ndi.gaussian_filter(np.random.default_rng(seed).normal(size=shape), size, mode="wrap")
    return image / image.std()


def lock_in(
    polarization: np.ndarray, *, offset: float = 0.6, noise: float = 0.05, seed: int = 0
) -> dict[str, np.ndarray]:
    """Amplitude and phase [rad] of a signed polarization, with noise in both quadratures."""
    generator = np.random.default_rng(seed)
    response = polarization + noise * (
        generator.normal(size=polarization.shape) + 1j * generator.normal(size=polarization.shape)
    )
    response = 100 * response * np.exp(1j * offset)
    return {"amplitude": np.abs(response), "phase": np.angle(response)}


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Polarization +1 in a disc and −1 outside, with a wall of 1.5 px."""
    y, x = np.indices(shape)
    return np.tanh((radius - np.hypot(y - centre[0], x - centre[1])) / 1.5)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Write channels (frame, y, x) as a recording; returns its path."""

    def write(
        channels: Mapping[str, np.ndarray],
        *,
        name: str = "recording.zarr",
        units: Mapping[str, str] | None = None,
        pixel: float | None = 10.0,
    ) -> Path:
        known = UNITS | dict(units or {})
        n_frames, height, width = next(iter(channels.values())).shape
        unit, size = ("pixel", 1.0) if pixel is None else ("nm", pixel)
        dataset = xr.Dataset(
            {
                key: (
                    ("frame", "y", "x"),
                    values.astype(np.float32),
                    {"units": known.get(key, "1")},
                )
                for key, values in channels.items()
            },
            coords={
                "frame": ("frame", np.arange(n_frames), {"units": "1"}),
                "y": ("y", np.arange(height) * size, {"units": unit}),
                "x": ("x", np.arange(width) * size, {"units": unit}),
                "source": ("frame", np.arange(n_frames, dtype=np.int32), {"units": "1"}),
            },
            attrs={
                "modality": "PFM",
                "sources": [f"{i}.ibw" for i in range(n_frames)],
                "notes": [],
            },
        )
        store.write_dataset(tmp_path / name, dataset)
        return tmp_path / name

    return write


@pytest.fixture
def described(tmp_path: Path) -> Describe:
    """Run the stage; returns the path of the descriptors."""

    def run(
        recording: Path,
        config: DescribeConfig | None = None,
        *,
        name: str = "descriptors.zarr",
        progress: Progress = silent,
        compute: ComputeConfig = ONE,
    ) -> Path:
        receipt = Receipt("describe", "k" * 32, recording.stem, (), {}, {}, "hash", 0, "code")
        describe(
            recording,
            tmp_path / name,
            config=config or WallsConfig(),
            receipt=receipt,
            compute=compute,
            progress=progress,
        )
        return tmp_path / name

    return run
