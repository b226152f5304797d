"""The recordings of the soak: their content, their times, and their expected outcomes."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
import xarray as xr

Fate = Literal["good", "broken", "copy"]

BROKEN_SHARE, COPY_SHARE = 0.05, 0.05
N_IMAGES, SIDE = 60, 12


@dataclass(frozen=True)
class Drop:
    """One file that arrives."""

    name: str
    fate: Fate
    seconds: float
    """Time after the first recording [s]."""
    seed: int


def images(seed: int) -> np.ndarray:
    """A set of small images, each with one blurred spot."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centres = np.random.default_rng(seed).uniform(3, SIDE - 3, (N_IMAGES, 2))
    distance = (y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2
    return np.exp(-distance / 6).astype("f4")


def _npz(path: Path, values: np.ndarray) -> None:
    np.savez(path, image=values)


def _netcdf(path: Path, values: np.ndarray) -> None:
    xr.Dataset({"height": (("frame", "y", "x"), values)}).to_netcdf(path, engine="h5netcdf")


KINDS: Mapping[str, Callable[[Path, np.ndarray], object]] = {
    ".npy": np.save,
    ".npz": _npz,
    ".tif": tifffile.imwrite,
    ".nc": _netcdf,
}
"""Writers of recordings, by extension."""

BREAKAGES: Sequence[Callable[[bytes], bytes]] = (
    lambda whole: whole[: len(whole) // 2],
    lambda _: b"",
    lambda _: b"this is no recording",
    lambda whole: bytes(reversed(whole)),
)
"""Defects of a broken file: truncated, empty, of another kind, garbled."""


def planned(n: int, *, gap: float, seed: int) -> list[Drop]:
    """Recordings of mixed kinds at random times, some broken, some copies of earlier ones.

    Args:
        n: Number of files.
        gap: Mean time between two files [s].
        seed: Seed of times, kinds and outcomes.
    """
    random = np.random.default_rng(seed)
    n_broken, n_copies = max(1, round(n * BROKEN_SHARE)), max(1, round(n * COPY_SHARE))
    others = ["broken"] * n_broken + ["copy"] * n_copies
    fates: list[Fate] = ["good", *random.permutation(others + ["good"] * (n - 1 - len(others)))]
    when = np.cumsum(random.exponential(gap, n))
    drops: list[Drop] = []
    for number, (fate, seconds) in enumerate(zip(fates, when - when[0], strict=True)):
        suffix, own = str(random.choice(list(KINDS))), seed * 100_000 + number
        if fate == "copy":
            first = drops[random.choice([i for i, d in enumerate(drops) if d.fate == "good"])]
            suffix, own = Path(first.name).suffix, first.seed
        drops.append(Drop(f"{fate}_{number:04}{suffix}", fate, float(seconds), own))
    return drops


def write(drop: Drop, drops: Sequence[Drop], box: Path) -> None:
    """Write a file in two pieces, as an instrument does; a copy is copied."""
    path, hidden = box / drop.name, box / f".{drop.name}"
    first = next(d for d in drops if d.seed == drop.seed)
    if drop.fate == "copy":
        shutil.copy(box / first.name, path)
        return
    KINDS[path.suffix](hidden, images(drop.seed))
    whole = hidden.read_bytes()
    hidden.unlink()
    if drop.fate == "broken":
        whole = BREAKAGES[drop.seed % len(BREAKAGES)](whole)
    with path.open("wb") as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        time.sleep(0.1)
        file.write(whole[len(whole) // 2 :])
