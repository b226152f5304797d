"""Print how fast 4D-STEM scans are ingested, mapped and encoded, as ratios within one run.

`python -m benchmarks.fourd`; `--quick` uses a tenth of the data, `--write` writes the table into benchmarks/README.md.
"""

import argparse
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from threadpoolctl import threadpool_limits

from benchmarks.fourd import works
from benchmarks.fourd.memory import peak
from benchmarks.fourd.scan import CENTRE, TENTH, WHOLE, Scan, write
from benchmarks.peers.ask import ScanRequest, ask_scan
from benchmarks.peers.scans import COPY
from benchmarks.run import scratch
from benchmarks.timing import Times, in_turns, ratio
from benchmarks.written import put
from invae.config import ScanConfig

PAGE = Path(__file__).parents[1] / "README.md"
TURNS = 5
GIGABYTES = (1.0, 4.0, 16.0)
PEERS = {"LiberTEM": "libertem 0.16", "py4DSTEM": "py4DSTEM 0.14.18"}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    speed: str
    wall: str = ""
    """Ratio of wall times."""
    cpu: str = ""
    """Ratio of processor times."""
    reference: str = ""
    goal: str = ""


def compared(
    times: Mapping[str, Times], name: str, reference: str, *, n_bytes: int, goal: str = ""
) -> Row:
    """Speed of a piece of work, and its ratio to a reference in the same turns."""
    speed = n_bytes / 1e6 / statistics.median(times[name].wall)
    own, other = times[name], times[reference]
    wall, cpu = ratio(own.wall, other.wall), ratio(own.cpu, other.cpu)
    return Row(name, f"{speed:,.0f} MB/s", f"{wall:.3f}", f"{cpu:.3f}", reference, goal)


def ours(file: Path, folder: Path, scan: Scan, *, turns: int) -> list[Row]:
    """Maps from memory, file and store compared with a copy in memory; ingest compared with a copy of the file."""
    works.store_of(file, folder / "recording.zarr")
    pieces = works.from_memory(np.load(file))
    pieces |= {works.FROM_FILE: works.from_file(file)}
    pieces |= works.from_store(folder / "recording.zarr") | works.ingesting(file, folder)
    times = in_turns(pieces, turns=turns)
    goals = {
        works.MASKS: "≥ 0.35",
        works.FROM_ZARR["zarr-python"]: "≥ 0.08",
        works.FROM_ZARR["zarrs"]: "≥ 0.14",
        works.INGEST: "≥ 0.3",
    }
    rows = []
    for name in times:
        reference = works.RAW_COPY if name == works.INGEST else works.COPY
        goal = goals.get(name, "")
        rows.append(compared(times, name, reference, n_bytes=scan.n_bytes, goal=goal))
    return rows


def theirs(file: Path, scan: Scan, *, turns: int) -> Iterator[Row]:
    """The peers on the same file, compared with a copy in memory in their own turns."""
    bands = tuple(works.BANDS.values())
    for peer, words in PEERS.items():
        request = ScanRequest(
            str(file), scan.shape, CENTRE, bands, workers=works.CORES, turns=turns
        )
        times = ask_scan(peer, request)
        for name in times:
            if name != COPY:
                row = compared(times, name, COPY, n_bytes=scan.n_bytes)
                yield Row(f"{words}: {name}", row.speed, row.wall, row.cpu, row.reference)


def encoded(device: str, *, turns: int, goal: str) -> Row:
    """Patterns per second in one thread, as in the stage."""
    times = in_turns({"encode": works.encoding(device)}, turns=turns)["encode"]
    rate = works.N_ENCODED / statistics.median(times.wall)
    per_core = works.N_ENCODED / statistics.median(times.cpu)
    what = f"encode 64² by rVAE, exact rotation, {device}, one thread"
    return Row(
        what,
        f"{rate:,.0f} patterns/s",
        reference=f"{per_core:,.0f} per processor second",
        goal=goal,
    )


def memory_rows() -> Iterator[Row]:
    """Peak memory of the ingest of generated scans."""
    allowed = 3 * ScanConfig().slab_mb
    for size in GIGABYTES:
        before, after = peak(size)
        what = f"ingest of {size:g} GB generated: peak memory"
        goal = f"≤ imports + {allowed:.0f} MB"
        yield Row(what, f"{after:,.0f} MB", reference=f"{before:,.0f} MB with imports", goal=goal)


def page(rows: Sequence[Row], scan: Scan, *, turns: int) -> str:
    """The table and the conditions of its measurement."""
    size = " × ".join(map(str, scan.shape))
    lines = [
        f"{size} uint16 ({scan.n_bytes / 1e9:.2g} GB), Poisson counts, 70 % zeros, seed {scan.seed}; {works.CORES} cores "
        f"({platform.machine()}); medians of {turns} turns; Python {platform.python_version()}, NumPy "
        f"{np.__version__}, zarr {zarr.__version__}.",
        "",
        "| what | speed | ratio, wall time | ratio, processor time | to | goal |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    lines += [
        f"| {row.what} | {row.speed} | {row.wall} | {row.cpu} | {row.reference} | {row.goal} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--no-peers", action="store_true", help="without the peers")
    parser.add_argument("--memory", action="store_true", help="also 1, 4 and 16 GB; slow")
    parser.add_argument("--write", action="store_true", help="write into benchmarks/README.md")
    options = parser.parse_args()
    scan, turns = (TENTH, 3) if options.quick else (WHOLE, TURNS)
    torch.set_num_threads(1)
    with scratch() as folder, threadpool_limits(1):
        file = folder / "scan.npy"
        write(scan, file)
        rows = ours(file, folder, scan, turns=turns)
        rows += [] if options.no_peers else theirs(file, scan, turns=turns)
        rows += [encoded("cpu", turns=turns, goal="≥ 1,100/s on two cores")]
        if torch.cuda.is_available():
            rows += [encoded("cuda", turns=turns, goal="≥ 100,000/s")]
        rows += memory_rows() if options.memory else []
    text = page(rows, scan, turns=turns)
    print(text)
    if options.write:
        put(PAGE, "fourd", text)


if __name__ == "__main__":
    main()
