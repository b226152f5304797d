"""Print how fast 4D-STEM scans are taken in, mapped and encoded, as ratios in one run.

`python -m benchmarks.fourd`; `--quick` takes a tenth of the data, `--write` puts the table into benchmarks/README.md.
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
    beside: str = ""
    mark: str = ""


def compared(
    taken: Mapping[str, Times], name: str, beside: str, *, n_bytes: int, mark: str = ""
) -> Row:
    """A work's speed, and its ratio to another work of the same turns."""
    speed = n_bytes / 1e6 / statistics.median(taken[name].wall)
    own, other = taken[name], taken[beside]
    wall, cpu = ratio(own.wall, other.wall), ratio(own.cpu, other.cpu)
    return Row(name, f"{speed:,.0f} MB/s", f"{wall:.3f}", f"{cpu:.3f}", beside, mark)


def ours(file: Path, folder: Path, scan: Scan, *, turns: int) -> list[Row]:
    """Maps from memory, file and store against a copy in memory; ingest against a copy of the file."""
    works.store_of(file, folder / "recording.zarr")
    todo = works.from_memory(np.load(file))
    todo |= {works.FROM_FILE: works.from_file(file)}
    todo |= works.from_store(folder / "recording.zarr") | works.taking_in(file, folder)
    taken = in_turns(todo, turns=turns)
    marks = {
        works.MASKS: "≥ 0.35",
        works.FROM_ZARR["zarr-python"]: "≥ 0.08",
        works.FROM_ZARR["zarrs"]: "≥ 0.14",
        works.INGEST: "≥ 0.3",
    }
    rows = []
    for name in taken:
        beside = works.RAW_COPY if name == works.INGEST else works.COPY
        mark = marks.get(name, "")
        rows.append(compared(taken, name, beside, n_bytes=scan.n_bytes, mark=mark))
    return rows


def theirs(file: Path, scan: Scan, *, turns: int) -> Iterator[Row]:
    """What peers do with the same file, against a copy in memory in their own turns."""
    bands = tuple(works.BANDS.values())
    for peer, words in PEERS.items():
        request = ScanRequest(
            str(file), scan.shape, CENTRE, bands, workers=works.CORES, turns=turns
        )
        taken = ask_scan(peer, request)
        for name in taken:
            if name != COPY:
                row = compared(taken, name, COPY, n_bytes=scan.n_bytes)
                yield Row(f"{words}: {name}", row.speed, row.wall, row.cpu, row.beside)


def encoded(device: str, *, turns: int, mark: str) -> Row:
    """Patterns per second, in one thread as the stage runs."""
    taken = in_turns({"encode": works.encoding(device)}, turns=turns)["encode"]
    rate = works.N_ENCODED / statistics.median(taken.wall)
    per_core = works.N_ENCODED / statistics.median(taken.cpu)
    what = f"encode 64² by rVAE, exact rotation, {device}, one thread"
    return Row(
        what, f"{rate:,.0f} patterns/s", beside=f"{per_core:,.0f} per processor second", mark=mark
    )


def remembered() -> Iterator[Row]:
    """Peak memory of ingesting generated scans."""
    allowed = 3 * ScanConfig().slab_mb
    for size in GIGABYTES:
        before, after = peak(size)
        what = f"ingest of {size:g} GB generated: peak memory"
        mark = f"≤ imports + {allowed:.0f} MB"
        yield Row(what, f"{after:,.0f} MB", beside=f"{before:,.0f} MB with imports", mark=mark)


def page(rows: Sequence[Row], scan: Scan, *, turns: int) -> str:
    """The table, and what it was measured on."""
    size = " × ".join(map(str, scan.shape))
    lines = [
        f"{size} uint16 ({scan.n_bytes / 1e9:.2g} GB), Poisson counts, 70 % zeros, seed {scan.seed}; {works.CORES} cores "
        f"({platform.machine()}); medians of {turns} turns; Python {platform.python_version()}, NumPy "
        f"{np.__version__}, zarr {zarr.__version__}.",
        "",
        "| what | speed | ratio, wall time | ratio, processor time | to | wanted |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    lines += [
        f"| {row.what} | {row.speed} | {row.wall} | {row.cpu} | {row.beside} | {row.mark} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--memory", action="store_true", help="also 1, 4 and 16 GB; slow")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    asked = parser.parse_args()
    scan, turns = (TENTH, 3) if asked.quick else (WHOLE, TURNS)
    torch.set_num_threads(1)
    with scratch() as folder, threadpool_limits(1):
        file = folder / "scan.npy"
        write(scan, file)
        rows = ours(file, folder, scan, turns=turns)
        rows += [] if asked.no_peers else theirs(file, scan, turns=turns)
        rows += [encoded("cpu", turns=turns, mark="≥ 1,100/s on two cores")]
        if torch.cuda.is_available():
            rows += [encoded("cuda", turns=turns, mark="≥ 100,000/s")]
        rows += remembered() if asked.memory else []
    text = page(rows, scan, turns=turns)
    print(text)
    if asked.write:
        put(PAGE, "fourd", text)


if __name__ == "__main__":
    main()
