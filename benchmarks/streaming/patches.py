"""The training set: a store of any number of patterns from a seed, made shard by shard."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks.run import receipt
from invae import dims
from invae.descriptors.layout import lay_out_patches
from invae.storage import store

SIDE = 64
"""Side of a patch [pixel]."""
ARMS = 3
FAINT, BRIGHT = 2.0, 20.0
"""Expected counts of a pixel between the arms and on them."""


@dataclass(frozen=True)
class PatchSet:
    """Size and seed of the set."""

    n_sites: int = 27_328
    seed: int = 0

    @property
    def n_bytes(self) -> int:
        """Size in memory: 4 bytes per value and 1 for its mask."""
        return 5 * self.n_sites * SIDE * SIDE


def piece_of(patches: PatchSet, start: int, n_sites: int) -> np.ndarray:
    """Counts (site, channel, y, x) of three-armed patterns at random angles; different for every `start`."""
    rng = np.random.default_rng([patches.seed, start])
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    angle = rng.uniform(-np.pi, np.pi, (n_sites, 1, 1))
    arms = (1 + np.cos(ARMS * (np.arctan2(y, x) - angle))) / 2
    expected = FAINT + (BRIGHT - FAINT) * arms * np.exp(-np.hypot(y, x) / SIDE * 2)
    return rng.poisson(expected)[:, None].astype(np.float32)


def write(patches: PatchSet, path: Path) -> None:
    """Write the set as a descriptor store with a corner of each patch masked, and flush it to the disk."""
    coords = xr.Dataset(
        coords={
            dims.SITE: np.arange(patches.n_sites),
            dims.CHANNEL: ["counts"],
            dims.PATCH_Y: np.arange(SIDE) - (SIDE - 1) / 2,
            dims.PATCH_X: np.arange(SIDE) - (SIDE - 1) / 2,
        }
    )
    describe_receipt = receipt("describe")
    partial = store.begin(path, describe_receipt.key)
    shard = lay_out_patches(partial, coords)
    for block in store.blocks(patches.n_sites, shard):
        values = piece_of(patches, block.start, block.stop - block.start)
        valid = np.ones(values.shape, bool)
        valid[..., :8, :8] = False
        arrays = {"patch": values, "valid": valid}
        store.write_block(partial, arrays, start=block.start, shard=shard)
    store.publish(partial, path, describe_receipt)
    for file in files_of(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def files_of(path: Path) -> list[Path]:
    """All files of a store."""
    return [file for file in path.rglob("*") if file.is_file()]


def forget(path: Path) -> None:
    """Drop a store from the machine's page cache, so that it is read from the disk next."""
    for file in files_of(path):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
