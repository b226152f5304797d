"""Room, rights and the GPU of this machine."""

import os
import shutil
import tempfile
from pathlib import Path

from flows.service.doctor.check import Check, fail, ok, warn

GIGABYTE = 1e9
LEAST_FREE, LITTLE_FREE = 1.0, 20.0
"""Below the first nothing more is begun, below the second a 4D-STEM scan may not fit [GB]."""

DRIVERS = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""What a driver of a GPU puts there, whether PyTorch can use it or not."""


def check_room(*places: Path) -> list[Check]:
    """Free space where results and Prefect's database lie; once per disk."""
    found: dict[int, Check] = {}
    for place in map(nearest, places):
        found.setdefault(place.stat().st_dev, _room(place))
    return list(found.values())


def _room(place: Path) -> Check:
    free = shutil.disk_usage(place).free / GIGABYTE
    words = f"{free:.1f} GB free at {place}"
    remedy = "free some space, or give another --out"
    if free < LEAST_FREE:
        return fail("disk space", words, remedy)
    return warn("disk space", words, remedy) if free < LITTLE_FREE else ok("disk space", words)


def check_writable(out: Path) -> list[Check]:
    """Whether recordings can be written to `out`, and every one that is there can be replaced."""
    place = nearest(out)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        found = f"{place} cannot be written ({error.strerror})"
        return [fail("writable", found, f"give {_user()} the right to write there")]
    folders = [path for path in place.glob("*") if (path / "run.json").is_file()]
    closed = [path for path in folders if not os.access(path, os.W_OK | os.X_OK)]
    if closed:
        found = f"{len(closed)} of {len(folders)} recordings cannot be written, such as {closed[0]}"
        return [fail("writable", found, f"give {_user()} the right to write there")]
    missing = "" if place == out.absolute() else f"; {out} will be made"
    return [ok("writable", f"{place} can be written{missing}")]


def check_gpu() -> list[Check]:
    """Where models run."""
    import torch

    version = torch.__version__
    if torch.cuda.is_available():
        free, total = (n / GIGABYTE for n in torch.cuda.mem_get_info())
        name = torch.cuda.get_device_name()
        return [ok("GPU", f"torch {version} on {name}, {free:.0f} of {total:.0f} GB free")]
    if any(driver.exists() for driver in DRIVERS):
        built = "cannot use it" if torch.version.cuda else "is built for the processor"
        found = f"there is a GPU, and torch {version} {built}"
        return [warn("GPU", found, "install the torch for its driver, see pytorch.org")]
    return [ok("GPU", f"none; torch {version} runs on {os.cpu_count()} cores")]


def nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def _user() -> str:
    return f"user {os.geteuid()}"
