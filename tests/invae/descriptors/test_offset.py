"""A constant far under the values costs none of their digits, in patches of every kind."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pydantic import TypeAdapter

from invae.config import ComputeConfig, DescribeConfig, IngestConfig
from invae.config.scan import ScanConfig
from invae.descriptors.describe import describe
from invae.descriptors.offset import offset_of
from invae.readers.ingest import ingest_dataset
from invae.storage import store
from invae.storage.provenance import Receipt

ONE = ComputeConfig(workers=1)
INGEST = IngestConfig(scan=ScanConfig(centre="file", bad_pixels="keep"))
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 64, 64)) * 3
SPECTRA = RNG.normal(size=(6, 7, 40)) + 5 * np.exp(-(((np.arange(40) - 20) / 6) ** 2))
PATTERNS = RNG.normal(size=(5, 6, 16, 16)) + 50 * (np.hypot(*(np.indices((16, 16)) - 7.5)) < 5)
PIXELS = {"units": "nm"}


def recording(channels: Mapping[str, tuple[tuple[str, ...], np.ndarray]]) -> xr.Dataset:
    sizes = dict(
        pair for dims, values in channels.values() for pair in zip(dims, values.shape, strict=False)
    )
    coords = {dim: (dim, np.arange(n) * 1.0, PIXELS) for dim, n in sizes.items()}
    return xr.Dataset(dict(channels), coords=coords, attrs={"modality": "unknown", "notes": []})


def images(offset: float) -> xr.Dataset:
    return recording({"image": (("frame", "y", "x"), IMAGES + offset)})


def spectra(offset: float) -> xr.Dataset:
    return recording({"current": (("y", "x", "energy"), SPECTRA + offset)})


def pairs(offset: float) -> xr.Dataset:
    image = (("frame", "y", "x"), IMAGES[:1, :6, :7] + offset)
    return spectra(offset).assign(height=image).assign_coords(frame=("frame", [0]))


def patterns(offset: float) -> xr.Dataset:
    known = recording({"pattern": (("scan_y", "scan_x", "k_y", "k_x"), PATTERNS + offset)})
    axis = np.arange(16) - 7.5
    return known.assign_coords({dim: (dim, axis, {"units": "mrad"}) for dim in ("k_y", "k_x")})


def receipt(stage: str) -> Receipt:
    return Receipt(stage, f"{stage:0<64}", "recording", (), {}, {}, "", 0, "")


def described(known: xr.Dataset, settings: Mapping[str, object], folder: Path) -> xr.Dataset:
    """The descriptors of a recording that goes through ingest."""
    source, target = folder / "recording.zarr", folder / "descriptors.zarr"
    ingest_dataset(known, source, config=INGEST, receipt=receipt("ingest"), compute=ONE)
    config = TypeAdapter(DescribeConfig).validate_python(settings)
    describe(source, target, config=config, receipt=receipt("describe"), compute=ONE)
    return store.open_store(target)


KINDS = {
    "dense": (images, {"kind": "dense", "window": 16, "spacing": 8, "normalise": "none"}, "patch"),
    "frame": (images, {"kind": "dense", "window": 16, "spacing": 8}, "patch"),
    "images": (images, {"kind": "images", "bin": 2}, "patch"),
    "spectra": (spectra, {"kind": "spectra"}, "patch"),
    "pairs": (pairs, {"kind": "pairs", "window": 3}, "patch"),
    "pairs, spectra": (pairs, {"kind": "pairs", "window": 3}, "spectrum"),
    "patterns": (
        patterns,
        {
            "kind": "patterns",
            "transform": "none",
            "window": 8,
            "radius": 6,
            "radius_units": "mrad",
        },
        "patch",
    ),
}


@pytest.mark.parametrize("offset", [1e6, -1e8, 1e10])
@pytest.mark.parametrize("name", KINDS)
def test_an_offset_costs_no_digits(name: str, offset: float, tmp_path: Path) -> None:
    make, settings, variable = KINDS[name]
    if make in (pairs, spectra):
        settings = {**settings, "gate": {"keep": ["clipped", "spikes", "amplitude"]}}
    without = described(make(0.0), settings, tmp_path / "plain")
    store_with = described(make(offset), settings, tmp_path / "offset")
    valid = without["valid" if variable == "patch" else "spectrum_valid"].to_numpy()
    plain, values = (known[variable].to_numpy()[valid] for known in (without, store_with))
    error = np.abs((values - np.median(values)) - (plain - np.median(plain)))
    resolution = np.finfo(np.float64).eps * abs(offset)
    # the gate of spectra may replace another value where rounding decides
    assert np.quantile(error, 0.99) < max(1e-5 * plain.std(), 4 * resolution)
    assert any("has an offset of" in note for note in store_with.attrs["notes"])


def with_outliers(offset: float) -> xr.Dataset:
    """Images on an offset, with a dead pixel in each and a hot one."""
    known = images(offset)
    values = known["image"].to_numpy().copy()
    values[:, 3, 3], values[2, 40, 41] = 0.0, 2 * offset
    return known.assign(image=(known["image"].dims, values))


@pytest.mark.parametrize("name", ["dense", "images"])
def test_outliers_as_large_as_the_offset_do_not_hide_it(name: str, tmp_path: Path) -> None:
    _, settings, variable = KINDS[name]
    plain = described(images(0.0), settings, tmp_path / "plain")[variable].to_numpy()
    found = described(with_outliers(1e9), settings, tmp_path / "offset")
    moved = found[variable].to_numpy() - plain
    assert np.quantile(np.abs(moved - np.median(moved)), 0.97) < 1e-5 * plain.std()
    assert any("image has an offset of" in note for note in found.attrs["notes"])


def test_values_near_zero_have_no_offset_and_stay_as_they_are(tmp_path: Path) -> None:
    known = described(images(1000.0), KINDS["dense"][1], tmp_path)
    recorded = store.open_store(tmp_path / "recording.zarr")["image"]
    assert offset_of(recorded) == 0.0
    first = known.isel(site=0)
    rows, columns = (slice(int(first[n] - 7.5), int(first[n] + 8.5)) for n in ("y", "x"))
    np.testing.assert_array_equal(
        first["patch"][0], (IMAGES + 1000.0)[0, rows, columns].astype(np.float32)
    )
