"""The most memory that a process has had."""

from pathlib import Path


def peak_mb() -> float:
    """Of this process [MB].

    The kernel's `VmHWM`, that of this program alone: `ru_maxrss` begins at what the process had that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
