"""The timed work: copies, and the processing of a scan in memory, in a file and in a store."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import zarr

from benchmarks.fourd.scan import CENTRE, DISC, SIDE
from benchmarks.run import receipt
from benchmarks.timing import Work, memory_copy
from invae import InvariantVAE
from invae.config import ComputeConfig, IngestConfig
from invae.readers.ingest import ingest
from invae.scans.virtual import Detectors, maps_of

CORES = len(os.sched_getaffinity(0))
BANDS = {"bf": (0.0, DISC), "abf": (DISC / 2, DISC), "haadf": (1.2 * DISC, float(SIDE))}
ZARRS = "zarrs.ZarrsCodecPipeline"
ENCODED_SIDE, N_ENCODED = 64, 4096
COPY, RAW_COPY, INGEST = "memory copy", "raw copy, flushed", "ingest"
MASKS = "six maps from memory, one thread"
ALL_CORES = "six maps from memory, all cores"
FROM_FILE = "six maps from the file"
FROM_ZARR = {"zarr-python": "Zarr to six maps, zarr-python", "zarrs": "Zarr to six maps, zarrs"}


def detectors() -> Detectors:
    """The same masks for all."""
    return Detectors(np.ones((SIDE, SIDE), bool), CENTRE, BANDS)


def from_memory(scan: np.ndarray) -> dict[str, Work]:
    """Six maps of the patterns (scan_y, scan_x, k_y, k_x) in memory, and a copy of the same bytes."""
    patterns, masks = scan.reshape(-1, SIDE, SIDE), detectors()
    return {
        COPY: memory_copy(scan),
        MASKS: lambda: maps_of(patterns, masks),
        ALL_CORES: lambda: maps_of(patterns, masks, threads=CORES),
    }


def from_file(file: Path) -> Work:
    """Six maps of a NumPy file that is read meanwhile."""

    def work() -> None:
        _maps_of_rows(np.load(file, mmap_mode="r"), rows=8)

    return work


def from_store(path: Path) -> dict[str, Work]:
    """Six maps of a store, slab by slab, with each installed codec pipeline."""

    def with_pipeline(settings: dict[str, str]) -> Callable[[], None]:
        def work() -> None:
            with zarr.config.set(settings):
                array = zarr.open_array(path / "pattern", mode="r")
                slab = (array.shards or array.chunks)[0]
                _maps_of_rows(array, rows=slab)

        return work

    works: dict[str, Work] = {FROM_ZARR["zarr-python"]: with_pipeline({})}
    if find_spec("zarrs"):
        works[FROM_ZARR["zarrs"]] = with_pipeline({"codec_pipeline.path": ZARRS})
    return works


def _maps_of_rows(array: np.ndarray | zarr.Array, *, rows: int) -> None:
    masks = detectors()
    for start in range(0, array.shape[0], rows):
        slab = np.asarray(array[start : start + rows])
        maps_of(slab.reshape(-1, SIDE, SIDE), masks, threads=CORES)


def ingesting(file: Path, folder: Path) -> dict[str, Work]:
    """Ingest with all maps of its pass, and a copy of the file."""

    def copy() -> None:
        shutil.copyfile(file, folder / "copy.npy")
        with (folder / "copy.npy").open("rb") as stream:
            os.fsync(stream.fileno())

    return {RAW_COPY: copy, INGEST: lambda: store_of(file, folder / "recording.zarr")}


def store_of(file: Path, target: Path) -> None:
    """Store the scan as recording.zarr."""
    ingest(
        [file], target, config=IngestConfig(), receipt=receipt("ingest"), compute=ComputeConfig()
    )


def encoding(device: str) -> Work:
    """Latent variables of 4,096 patterns of 64² from an untrained rVAE with exact rotation."""
    rng = np.random.default_rng(0)
    patterns = rng.poisson(1.0, (N_ENCODED, ENCODED_SIDE, ENCODED_SIDE)).astype(np.float32)
    training = {"epochs": 1, "held_out": 0.0}
    vae = InvariantVAE("rVAE", pose_inference="exact", training=training, device=device)
    vae.fit(patterns[:64])
    return lambda: vae.encode(patterns)
