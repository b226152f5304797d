"""Which device a run uses, and what the machine is called in its records."""

import os
import platform
from pathlib import Path

from invae.config import ComputeConfig

CPU_INFO = Path("/proc/cpuinfo")


def device_of(compute: ComputeConfig) -> str:
    """Name of the device on which models run under these settings: the GPU's, or the processor's."""
    import torch  # 3 s, so not before a stage needs it

    if compute.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return machine()


def machine() -> str:
    """Model of the processor and number of cores that this process may use."""
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _processor() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
