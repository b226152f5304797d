"""A result of one run, to be damaged and handed on, and a 4D-STEM recording with its maps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae.storage import store
from invae.storage.provenance import Receipt, Source


@pytest.fixture
def copied(small_run, tmp_path):
    """A result that may be damaged."""
    return shutil.copytree(small_run.store("analyse"), tmp_path / "result.zarr")


@pytest.fixture
def recording(tmp_path) -> Path:
    """A scan of 10 × 6 patterns of 8 × 12, counted, with two maps over the scan and two over the detector."""
    path, rng = tmp_path / "recording.zarr", np.random.default_rng(7)
    counts = rng.poisson(0.4, (10, 6, 8, 12)).astype(np.uint16)
    coords = {
        "scan_y": ("scan_y", 0.2 * np.arange(10), {"units": "nm"}),
        "scan_x": ("scan_x", 0.3 * np.arange(6), {"units": "nm"}),
        "k_y": ("k_y", 1.5 * (np.arange(8) - 3.5), {"units": "mrad"}),
        "k_x": ("k_x", 1.5 * (np.arange(12) - 5.5), {"units": "mrad"}),
    }
    instrument = {"Scan/1": {"frames": [1, "two", {"three": []}]}, "note": None, "lens": [1.5, 2]}
    attrs = {
        "modality": "4D-STEM",
        "beam_energy_keV": 60.0,
        "convergence_mrad": 30.0,
        "metadata": json.dumps(instrument),
        "notes": ["one hot pixel"],
    }
    labels = {"long_name": "counts", "units": "count"}
    pattern = store.Variable(("scan_y", "scan_x", "k_y", "k_x"), counts.shape, np.uint16, labels)
    store.lay_out(
        path, {"pattern": pattern}, shard=4, coords=xr.Dataset(coords=coords, attrs=attrs)
    )
    for start in (0, 4, 8):
        store.write_block(path, {"pattern": counts[start : start + 4]}, start=start, shard=4)
    maps = xr.Dataset(
        {
            "sum": (("scan_y", "scan_x"), counts.sum((2, 3)), {"units": "count"}),
            "radial_profile": (("scan_y", "scan_x", "k"), rng.normal(size=(10, 6, 5))),
            "mean_pattern": (("k_y", "k_x"), counts.mean((0, 1)), {"units": "count"}),
            "detector_valid": (("k_y", "k_x"), counts.max((0, 1)) > 2),
        },
        coords={**coords, "k": ("k", 1.5 * np.arange(5), {"units": "mrad"})},
        attrs={"transposed": False, "centre": [3.5, 5.5]},
    )
    store.write_dataset(path, maps, group="maps")
    source = Source("scan.mib", "ab" * 32, counts.nbytes)
    store.write_receipt(
        path,
        Receipt("ingest", "0" * 64, "scan", (source,), {}, {"ingest": {}, "x": [0.5]}, "", 3, ""),
    )
    return path
