"""A day's scale: processor time and peak memory of ingest and descriptors for scans of 1 GB and more.

`python -m benchmarks.scale 1 4` generates the scans while they are read, so that only the stores are on the disk, in a temporary
folder that is deleted afterwards (`TMPDIR`). Each stage runs in a process of its own. Processor time counts all threads and holds on
a busy machine; memory must not grow with the size of the scan.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fourd.memory import endless
from benchmarks.fourd.scan import SIDE, Scan
from benchmarks.peak_memory import peak_mb
from benchmarks.run import receipt
from benchmarks.written import put
from invae.config import ComputeConfig, IngestConfig
from invae.config.patterns import PatternsConfig
from invae.descriptors.describe import describe
from invae.readers.ingest import ingest_dataset
from invae.storage.provenance import now
from invae.training.device import n_cores

PAGE = Path(__file__).with_name("README.md")
STAGES = {"ingest": "recording.zarr", "describe": "descriptors.zarr"}
"""Stages, and the store that each makes."""
COLUMNS = 256
WINDOW = 28
"""Side of the patch of a pattern [pixel]."""
MOST_GIGABYTES = 64.0
ROOM = 1.5
"""Free disk that is needed, relative to the size of the scan."""


@dataclass(frozen=True)
class Cost:
    """What a stage took."""

    stage: str
    gigabytes: float
    """Of the scan."""
    wall: float
    """[s]."""
    cpu: float
    """Of all threads [s]."""
    imports_mb: float
    """Peak memory after the imports [MB]."""
    peak_mb: float
    """Peak memory in the end [MB]."""
    store_gb: float
    """Size of the store that was made."""


def scan_of(gigabytes: float) -> Scan:
    """A scan of about that size."""
    return Scan(rows=max(1, round(gigabytes * 1e9 / (2 * COLUMNS * SIDE * SIDE))), columns=COLUMNS)


def run(stage: str, folder: Path, gigabytes: float) -> Cost:
    """Run one stage in this process."""
    recording, target = folder / STAGES["ingest"], folder / STAGES[stage]
    imports, began, before = peak_mb(), time.monotonic(), _cpu_seconds()
    if stage == "ingest":
        scan = endless(scan_of(gigabytes))
        ingest_dataset(
            scan, target, config=IngestConfig(), receipt=receipt(stage), compute=ComputeConfig()
        )
    else:
        config = PatternsConfig(window=WINDOW)
        describe(recording, target, config=config, receipt=receipt(stage), compute=ComputeConfig())
    wall, cpu = time.monotonic() - began, _cpu_seconds() - before
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return Cost(stage, gigabytes, wall, cpu, imports, peak_mb(), size / 1e9)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def costs(gigabytes: float) -> Iterator[Cost]:
    """Both stages for a scan of that size, each in its own process.

    Raises:
        SystemExit: The disk has too little room.
    """
    with tempfile.TemporaryDirectory(prefix="invae-benchmark-") as folder:
        free = shutil.disk_usage(folder).free / 1e9
        if free < ROOM * gigabytes:
            raise SystemExit(
                f"{folder} has {free:.0f} GB free, and {gigabytes:g} GB need {ROOM * gigabytes:.0f}; set TMPDIR"
            )
        for stage in STAGES:
            words = [sys.executable, "-m", "benchmarks.scale", str(gigabytes)]
            words += ["--stage", stage, "--folder", folder]
            answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            yield Cost(**json.loads(answer.stdout))


def table(found: Sequence[Cost], *, load: float) -> str:
    """The result as Markdown."""
    lines = [
        f"{now()[:10]}; patterns of {SIDE}² uint16, 70 % zeros; {n_cores()} cores ({platform.machine()}), load {load:.1f}; Python {platform.python_version()}.\n",
        "| stage | scan | processor time per GB | wall time | peak memory, imports included | of which imports | store |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {cost.stage} | {cost.gigabytes:g} GB | {cost.cpu / cost.gigabytes:.1f} s | {cost.wall:.0f} s "
        f"| {cost.peak_mb:,.0f} MB | {cost.imports_mb:,.0f} MB | {cost.store_gb:.2f} GB |"
        for cost in found
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table, or run one stage for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "gigabytes", nargs="*", type=float, default=[1.0, 4.0], help="sizes of scans"
    )
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.stage:
        print(json.dumps(vars(run(chosen.stage, chosen.folder, chosen.gigabytes[0]))))
        return
    if max(chosen.gigabytes) > MOST_GIGABYTES:
        parser.error(f"at most {MOST_GIGABYTES:g} GB")
    found = []
    for size in chosen.gigabytes:
        for cost in costs(size):
            print(cost, file=sys.stderr, flush=True)
            found.append(cost)
    text = table(found, load=os.getloadavg()[0])
    print(text)
    if chosen.write:
        put(PAGE, "scale", text)


if __name__ == "__main__":
    main()
