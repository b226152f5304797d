"""Peak memory of a process."""

from pathlib import Path


def peak_mb() -> float:
    """Peak memory of this process [MB].

    The kernel's `VmHWM` is the peak of this program alone; `ru_maxrss` starts at the memory of the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
