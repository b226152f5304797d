"""Outcomes of all recordings, their costs, and whether memory and handles stayed flat."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.machine import PARTS, Sample
from benchmarks.soak.page import Row
from benchmarks.soak.recordings import Drop
from flows.watching import ledger

STARTING = 0.3
"""Fraction of the last life that counts as the start."""
SHORTEST_LIFE = 300.0
"""Shortest life that is judged: a part grows while it starts [s]."""
MOST_OVERHEAD = 1.0
"""Longest overhead of a run beyond its stages [s]."""

Run = Mapping[str, Any]


def verdicts(drops: Sequence[Drop], runs: Sequence[Run], out: Path) -> list[Row]:
    """Whether every good recording was processed once and every broken one quarantined with its reason."""
    entries = {Path(entry.key).name: entry for entry in ledger.read(out)}
    good, broken, copies = (
        [d for d in drops if d.fate == fate] for fate in ("good", "broken", "copy")
    )
    done = [d for d in good if d.name in entries and entries[d.name].state == "done"]
    reports = [
        d for d in done if (out / entries[d.name].recording / "report" / "index.html").is_file()
    ]
    quarantined = [d for d in broken if d.name in entries and entries[d.name].state == "set aside"]
    with_reason = [d for d in quarantined if entries[d.name].reason]
    same = [d for d in copies if d.name in entries and entries[d.name].state == "done"]
    contents = len(good) + len({entries[d.name].digest for d in quarantined})
    names = [run["name"] for run in runs]
    return [
        _all("good recordings with a report", reports, good),
        _all("broken recordings quarantined with a reason", with_reason, broken),
        _all("copies matched to the existing run", same, copies),
        Row("runs", str(len(runs)), f"{contents}, one for each content", len(runs) == contents),
        Row("recordings with two runs", str(len(names) - len(set(names))), "0", len(names) == len(set(names))),
    ]  # fmt: skip


def _all(what: str, drops: Sequence[Drop], expected: Sequence[Drop]) -> Row:
    return Row(what, str(len(drops)), f"all {len(expected)}", len(drops) == len(expected))


def costs(runs: Sequence[Run], out: Path, *, seconds: float) -> list[Row]:
    """Recordings per hour, and how long each took and waited.

    Args:
        runs: Runs from the server.
        out: Folder of the results.
        seconds: Time from the first arrival to the last end [s].
    """
    done = [run for run in runs if run["state_type"] == "COMPLETED"]
    uninterrupted = [run for run in done if run["run_count"] == 1]
    stages = [_stage_seconds(out / run["parameters"]["name"]) for run in uninterrupted]
    overhead = [
        _between(run["start_time"], run["end_time"]) - s
        for run, s in zip(uninterrupted, stages, strict=True)
    ]
    waits = [_between(run["created"], run["pending"]) for run in uninterrupted]
    starts = [_between(run["pending"], run["start_time"]) for run in uninterrupted]
    resumed = sum(run["run_count"] > 1 for run in done)
    enough = not overhead or statistics.median(overhead) <= MOST_OVERHEAD
    return [
        Row("recordings per hour", f"{len(runs) / seconds * 3600:.0f}"),
        Row("the six stages of a recording", _spread(stages)),
        Row("overhead within its run", _spread(overhead), f"median ≤ {MOST_OVERHEAD:g} s", enough),
        Row("start of its process", _spread(starts)),
        Row("wait for a free process", _spread(waits)),
        Row("interrupted runs that were resumed", str(resumed)),
    ]


def imports() -> list[Row]:
    """Time in which the warm process imports everything."""
    program = "import time; t = time.monotonic(); from flows.service.warm import load; load(); print(time.monotonic() - t)"
    took = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    return [Row("imports, once", f"{float(took):.1f} s")]


def processor(samples: Sequence[Sample], *, n_runs: int) -> list[Row]:
    """Processor time of each part for one recording, including everything that it started and ended."""
    spent = dict.fromkeys(PARTS, 0.0)
    for part in PARTS:
        for life in {sample.life for sample in samples}:
            in_life = [s.busy for s in samples if (s.part, s.life) == (part, life)]
            spent[part] += max(in_life, default=0.0)
    by_part = ", ".join(f"{part} {t / max(n_runs, 1):.1f} s" for part, t in spent.items())
    whole = sum(spent.values()) / max(n_runs, 1)
    return [Row("processor time per recording, restarts included", f"{whole:.1f} s: {by_part}")]


def _between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _stage_seconds(folder: Path) -> float:
    """Time of the stages of a recording, without the reports to the server [s]."""
    stages = json.loads((folder / "run.json").read_text())["stages"]
    return sum(stage["seconds"] - stage["telling_seconds"] for stage in stages.values())


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    late = np.quantile(seconds, 0.95)
    return f"{statistics.median(seconds):.2f} s (95 %: {late:.2f} s)"


def flatness(samples: Sequence[Sample]) -> list[Row]:
    """Memory and open files of each part in its last life, at the beginning and at the end, without its start."""
    last = max((sample.life for sample in samples), default=0)
    rows = []
    for part in PARTS:
        of_part = [s for s in samples if s.part == part and s.life == last]
        if not of_part:
            continue  # it was ended before the first sample
        is_long = of_part[-1].instant - of_part[0].instant >= SHORTEST_LIFE
        of_part = of_part[int(len(of_part) * STARTING) :]
        third = max(len(of_part) // 3, 1)
        first, end = of_part[:third], of_part[-third:]
        memory = [statistics.median(s.megabytes for s in part_of) for part_of in (first, end)]
        handles = [statistics.median(s.handles for s in part_of) for part_of in (first, end)]
        result = (
            f"{memory[0]:.0f} → {memory[1]:.0f} MB, {handles[0]:.0f} → {handles[1]:.0f} open files"
        )
        flat = memory[1] < 1.1 * memory[0] + 10 and handles[1] <= handles[0] + 10
        goal = "flat" if is_long else "flat, in a longer life than this"
        rows.append(Row(part, result, goal, flat or not is_long))
    return rows
