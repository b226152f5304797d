"""CPU seconds that imports and `invae --help` cost in fresh processes.

`python -m benchmarks.imports` prints them; `--processes N` sets how many processes the median is taken over.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

COMMANDS = {
    "import torch": ("-c", "import torch"),
    "import invae": ("-c", "import invae"),
    "from invae import InvariantVAE": ("-c", "from invae import InvariantVAE"),
    "invae --help": ("-c", "from flows.cli.main import main; main()", "--help"),
}
"""What is measured, and the arguments of Python that do it."""


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """User and system time of one fresh Python process with one thread [s].

    Raises:
        RuntimeError: The process fails.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the median of every command; the commands take turns, so that all see the same load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=5)
    n_processes = parser.parse_args().processes
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(n_processes):
        for name, arguments in COMMANDS.items():
            seconds[name].append(cpu_seconds(arguments))
    for name, measured in seconds.items():
        print(f"{name:32s} {median(measured):5.2f} s")


if __name__ == "__main__":
    main()
