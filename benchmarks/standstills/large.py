"""Files with very many parts: a TIFF of pages, an HDF5 file of groups."""

import struct
from pathlib import Path

import h5py
import numpy as np

SIDE = 8
"""Height and width of a page [px]."""
PAGE_BYTES = 2 * SIDE * SIDE


def write_pages(path: Path, n_pages: int) -> Path:
    """A TIFF file of small pages, each with a directory of its own, as cameras write them one after the other."""
    n_tags, directory = 8, 2 + 8 * 12 + 4
    values = np.random.default_rng(0).integers(0, 4096, (n_pages, SIDE, SIDE), dtype="<u2")
    with path.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, 8))
        for number in range(n_pages):
            start = 8 + number * (directory + PAGE_BYTES)
            tags = {
                256: SIDE, 257: SIDE, 258: 16, 259: 1, 262: 1,
                273: start + directory, 278: SIDE, 279: PAGE_BYTES,
            }  # fmt: skip
            entries = b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags.items())
            following = start + directory + PAGE_BYTES if number + 1 < n_pages else 0
            file.write(struct.pack("<H", n_tags) + entries + struct.pack("<I", following))
            file.write(values[number].tobytes())
    return path


def write_groups(path: Path, n_groups: int) -> Path:
    """An HDF5 file in which every image has a group of its own."""
    image = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype("f4")
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(n_groups):
            file.create_group(f"measurement_{number:05d}")["image"] = image
    return path
