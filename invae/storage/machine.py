"""The processor, and the code that the libraries choose for it: they decide the last digits of sums, and enter no key."""

import platform
import sys
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_info

CPU_INFO = Path("/proc/cpuinfo")


@cache
def processor() -> str:
    """Model of the processor."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def description() -> dict[str, str]:
    """The processor, the kernels of linear algebra and the instruction set of torch, as far as they are loaded."""
    found = {"processor": processor(), "linear algebra": _linear_algebra()}
    if torch := sys.modules.get("torch"):
        found["torch"] = str(torch.backends.cpu.get_cpu_capability())
        if torch.cuda.is_initialized():
            found["GPU"] = str(torch.cuda.get_device_name())
    return {name: text for name, text in found.items() if text}


def _linear_algebra() -> str:
    kernels = {
        f"{library['internal_api']} {library['architecture']}"
        for library in threadpool_info()
        if library["user_api"] == "blas" and library.get("architecture")
    }
    return ", ".join(sorted(kernels))
