"""Memory stays bounded however long a 4D-STEM scan: generated while it is read, less than three slabs are held."""

import subprocess
import sys
from pathlib import Path

import pytest

SLAB_MB = 40
SCAN = """
import sys
from pathlib import Path
import numpy as np, xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing
from benchmarks.peak_memory import peak_mb
from invae.config import ComputeConfig, IngestConfig
from invae.storage.provenance import Receipt
from invae.readers.ingest import ingest_dataset

class Generated(BackendArray):
    dtype = np.dtype("u2")
    def __init__(self, n_rows):
        y, x = np.indices((128, 128)) - 63.0
        expected = np.where(np.hypot(y, x) < 40, 1.0, 0.01)
        self.bank = np.random.default_rng(0).poisson(expected, (96, 128, 128)).astype("u2")
        self.shape = (n_rows, 96, 128, 128)
    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.read)
    def read(self, key):
        rows = np.arange(self.shape[0])[key[0]]
        made = [self.bank[(np.arange(96) + row) % 96][key[1:]] for row in np.atleast_1d(rows)]
        return np.stack(made) if np.ndim(rows) else made[0]

def take_in(n_rows, slab_mb, target):
    names = ("scan_y", "scan_x", "k_y", "k_x")
    made = Generated(n_rows)
    axes = {name: (name, np.arange(n) * 1.0) for name, n in zip(names, made.shape)}
    scan = xr.Dataset({"pattern": (names, indexing.LazilyIndexedArray(made))}, axes)
    receipt = Receipt("ingest", "k" * 20, "r", (), {}, {}, "", 0, "")
    config = IngestConfig.model_validate({"scan": {"slab_mb": slab_mb}})
    compute = ComputeConfig(workers=2)
    ingest_dataset(scan, Path(target), config=config, receipt=receipt, compute=compute)
    return scan.nbytes / 1e6

take_in(2, 1, sys.argv[1] + "/first.zarr")  # brings what is imported late
before = peak_mb()
size = take_in(int(sys.argv[2]), float(sys.argv[3]), sys.argv[1] + "/scan.zarr")
print(size, peak_mb() - before)
"""


def slabs_held(folder: Path, *, n_rows: int) -> tuple[float, float]:
    """Size of a generated scan [MB], and the memory that its ingest takes beyond the imports [slabs]."""
    answer = subprocess.run(
        [sys.executable, "-c", SCAN, str(folder), str(n_rows), str(SLAB_MB)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    size, grown = map(float, answer.stdout.split())
    return size, grown / SLAB_MB


def test_a_scan_is_taken_in_with_less_than_three_slabs_in_memory(tmp_path):
    size, slabs = slabs_held(tmp_path, n_rows=66)
    assert size > 5 * SLAB_MB
    assert slabs < 3


@pytest.mark.slow
def test_a_gigabyte_of_scan_takes_no_more(tmp_path):
    size, slabs = slabs_held(tmp_path, n_rows=340)
    print(f"{size:.0f} MB: {slabs:.2f} slabs of {SLAB_MB} MB")
    assert size > 1000
    assert slabs < 3
