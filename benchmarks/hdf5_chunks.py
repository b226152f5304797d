"""Ingest of a scan in HDF5 beside a plain read of the same file, for several chunkings: best of some runs.

python -m benchmarks.hdf5_chunks [--side 128] [--runs 3]
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from invae.config import IngestConfig
from invae.readers.ingest import ingest
from invae.storage.provenance import Receipt

CHUNKINGS = ((64, 64, 1, 1), (64, 64, 8, 8), (8, 8, 8, 8), (1, 1, 64, 64))
DETECTOR = (64, 64)


def write_scan(path: Path, data: np.ndarray, chunks: tuple[int, ...]) -> None:
    """Counts in EMD, compressed in these chunks."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("scan")
        group.attrs["emd_group_type"] = 1
        group.create_dataset(
            "data", data=data, chunks=chunks, compression="gzip", compression_opts=1
        )
        for n, name in enumerate(("y", "x", "ky", "kx")):
            vector = group.create_dataset(f"dim{n + 1}", data=np.arange(float(data.shape[n])))
            vector.attrs.update({"name": name, "units": ""})


def plain_read(path: Path) -> None:
    """All values of the file in memory."""
    with h5py.File(path) as file:
        file["scan/data"][...]  # pyright: ignore[reportIndexIssue]


def take_in(path: Path) -> None:
    """The recording of the file, in a new folder."""
    target = Path(tempfile.mkdtemp(dir=path.parent)) / "recording.zarr"
    receipt = Receipt("ingest", "k" * 32, "scan", (), {}, {}, "", 0, "")
    ingest([path], target, config=IngestConfig(), receipt=receipt)


def best(function: Callable[[Path], None], path: Path, n_runs: int) -> tuple[float, float]:
    """The shortest wall time and the shortest processor time of some runs [s]."""
    walls, processors = [], []
    for _ in range(n_runs):
        wall, processor = time.perf_counter(), time.process_time()
        function(path)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        for made in path.parent.glob("tmp*"):
            shutil.rmtree(made)
    return min(walls), min(processors)


def main() -> None:
    """Print one line for each chunking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=128, help="rows and columns of the scan")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    shape = (options.side, options.side, *DETECTOR)
    data = np.random.default_rng(0).poisson(1.0, shape).astype("u2")
    print(f"{data.nbytes / 1e6:.0f} MB; wall (processor) [s]")
    with tempfile.TemporaryDirectory() as folder:
        for chunks in CHUNKINGS:
            path = Path(folder) / "scan.h5"
            write_scan(path, data, chunks)
            plain, stored = (best(f, path, options.runs) for f in (plain_read, take_in))
            print(
                f"{chunks!s:18} plain {plain[0]:.2f} ({plain[1]:.2f}), ingest {stored[0]:.2f} "
                f"({stored[1]:.2f}), ratio {plain[0] / stored[0]:.2f} ({plain[1] / stored[1]:.2f})"
            )


if __name__ == "__main__":
    main()
