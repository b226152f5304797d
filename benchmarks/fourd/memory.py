"""Peak memory of the ingest of a generated scan of any size, in a separate process."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from benchmarks.fourd.scan import SIDE, Scan, row_of
from benchmarks.peak_memory import peak_mb

BANK = Scan(rows=4, columns=16)
"""Patterns that are generated once and repeated."""


@dataclass(frozen=True, eq=False)
class Endless(BackendArray):
    """A scan that is stored nowhere; xarray reads slices of it."""

    bank: np.ndarray
    """(scan_y, scan_x, k_y, k_x)."""
    shape: tuple[int, ...]
    dtype = np.dtype(np.uint16)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        indices = [
            np.arange(n)[part] % m
            for n, m, part in zip(self.shape, self.bank.shape, key[:2], strict=False)
        ]
        patterns = self.bank[np.ix_(*map(np.atleast_1d, indices))]
        patterns = patterns[tuple(slice(None) if np.ndim(index) else 0 for index in indices)]
        return patterns[(..., *key[2:])]


def endless(scan: Scan) -> xr.Dataset:
    """The lazy recording; memory holds a few of its patterns."""
    bank = np.stack([row_of(BANK, row) for row in range(BANK.rows)])
    array = indexing.LazilyIndexedArray(Endless(bank, scan.shape))
    attrs = {"units": "count", "long_name": "counts"}
    pattern = xr.Variable(("scan_y", "scan_x", "k_y", "k_x"), array, attrs)
    coords = {
        name: (name, np.arange(n, dtype=float), {"units": "pixel"})
        for name, n in zip(pattern.dims, scan.shape, strict=True)
    }
    return xr.Dataset({"pattern": pattern}, coords=coords, attrs={"modality": "4D-STEM"})


def peak(gigabytes: float) -> tuple[float, float]:
    """Peak memory after the imports and after the ingest of a scan of that size [MB]."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.fourd.memory", str(gigabytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = json.loads(answer.stdout)
    return before, after


def main() -> None:
    """Ingest a scan of the given number of gigabytes and print the peaks [MB]."""
    from benchmarks.fourd.works import receipt
    from invae.config import ComputeConfig, IngestConfig
    from invae.readers.ingest import ingest_dataset

    columns = 256
    rows = round(float(sys.argv[1]) * 1e9 / (2 * columns * SIDE * SIDE))
    recording = endless(Scan(rows=rows, columns=columns))
    before = peak_mb()
    with tempfile.TemporaryDirectory(prefix="invae-benchmark-") as folder:
        ingest_dataset(
            recording,
            Path(folder, "recording.zarr"),
            config=IngestConfig(),
            receipt=receipt("ingest"),
            compute=ComputeConfig(),
        )
    print(json.dumps([before, peak_mb()]))


if __name__ == "__main__":
    main()
