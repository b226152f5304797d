"""Disk space, permissions and GPU of this machine."""

import os
import shutil
import tempfile
from pathlib import Path

from flows.service.doctor.check import Check, fail, ok, warn

GIGABYTE = 1e9
LEAST_FREE, LITTLE_FREE = 1.0, 20.0
"""Below the first limit the check fails; below the second a 4D-STEM scan may not fit [GB]."""

DRIVERS = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Devices of GPU drivers, which exist whether PyTorch can use the GPU or not."""


def check_room(*places: Path) -> list[Check]:
    """Free space for results and Prefect's database, once per disk."""
    by_disk: dict[int, Check] = {}
    for place in map(nearest, places):
        by_disk.setdefault(place.stat().st_dev, _room(place))
    return list(by_disk.values())


def _room(place: Path) -> Check:
    free = shutil.disk_usage(place).free / GIGABYTE
    words = f"{free:.1f} GB free at {place}"
    remedy = "free some space, or give another --out"
    if free < LEAST_FREE:
        return fail("disk space", words, remedy)
    return warn("disk space", words, remedy) if free < LITTLE_FREE else ok("disk space", words)


def check_writable(out: Path) -> list[Check]:
    """Whether new recordings can be written to `out` and existing ones replaced."""
    place = nearest(out)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        found = f"{place} is not writable ({error.strerror})"
        return [fail("writable", found, f"give {_user()} write permission")]
    folders = [path for path in place.glob("*") if (path / "run.json").is_file()]
    read_only = [path for path in folders if not os.access(path, os.W_OK | os.X_OK)]
    if read_only:
        found = f"{len(read_only)} of {len(folders)} recordings are not writable, such as {read_only[0]}"
        return [fail("writable", found, f"give {_user()} write permission")]
    missing = "" if place == out.absolute() else f"; {out} will be created"
    return [ok("writable", f"{place} is writable{missing}")]


def check_gpu() -> list[Check]:
    """Device of the models."""
    import torch

    version = torch.__version__
    if torch.cuda.is_available():
        free, total = (n / GIGABYTE for n in torch.cuda.mem_get_info())
        name = torch.cuda.get_device_name()
        return [ok("GPU", f"torch {version} on {name}, {free:.0f} of {total:.0f} GB free")]
    if any(driver.exists() for driver in DRIVERS):
        problem = "cannot use it" if torch.version.cuda else "is built for CPU only"
        found = f"there is a GPU, but torch {version} {problem}"
        return [warn("GPU", found, "install the torch build for its driver, see pytorch.org")]
    return [ok("GPU", f"none; torch {version} runs on {os.cpu_count()} cores")]


def nearest(path: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def _user() -> str:
    return f"user {os.geteuid()}"
