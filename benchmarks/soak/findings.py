"""What became of everything that was dropped, what it cost, and whether memory and handles stayed flat."""

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
"""Share of the last life that counts as starting up."""
SHORTEST_LIFE = 300.0
"""Of which something is said: a part grows while it gets going [s]."""
MOST_BEYOND = 1.0
"""Time that a run may take beyond its science [s]."""

Run = Mapping[str, Any]


def verdicts(drops: Sequence[Drop], runs: Sequence[Run], out: Path) -> list[Row]:
    """Whether every good recording was processed once and every broken one set aside with its reason."""
    known = {Path(entry.key).name: entry for entry in ledger.read(out)}
    good, broken, copies = (
        [d for d in drops if d.fate == fate] for fate in ("good", "broken", "copy")
    )
    done = [d for d in good if d.name in known and known[d.name].state == "done"]
    reports = [
        d for d in done if (out / known[d.name].recording / "report" / "index.html").is_file()
    ]
    aside = [d for d in broken if d.name in known and known[d.name].state == "set aside"]
    told = [d for d in aside if known[d.name].reason]
    same = [d for d in copies if d.name in known and known[d.name].state == "done"]
    contents = len(good) + len({known[d.name].digest for d in aside})
    names = [run["name"] for run in runs]
    return [
        _all("good recordings with a report", reports, good),
        _all("broken ones set aside with a reason", told, broken),
        _all("copies that found the run that was there", same, copies),
        Row("runs", str(len(runs)), f"{contents}, one for each content", len(runs) == contents),
        Row("recordings with two runs", str(len(names) - len(set(names))), "0", len(names) == len(set(names))),
    ]  # fmt: skip


def _all(what: str, found: Sequence[Drop], wanted: Sequence[Drop]) -> Row:
    return Row(what, str(len(found)), f"all {len(wanted)}", len(found) == len(wanted))


def costs(runs: Sequence[Run], out: Path, *, seconds: float) -> list[Row]:
    """How many recordings an hour, and how long each took and waited.

    Args:
        runs: as the server tells of them.
        out: where the results are.
        seconds: from the first arrival to the last end [s].
    """
    done = [run for run in runs if run["state_type"] == "COMPLETED"]
    whole = [run for run in done if run["run_count"] == 1]
    spent = [_science(out / run["parameters"]["name"]) for run in whole]
    beyond = [
        _between(run["start_time"], run["end_time"]) - s
        for run, s in zip(whole, spent, strict=True)
    ]
    places = [_between(run["created"], run["pending"]) for run in whole]
    starts = [_between(run["pending"], run["start_time"]) for run in whole]
    resumed = sum(run["run_count"] > 1 for run in done)
    enough = not beyond or statistics.median(beyond) <= MOST_BEYOND
    return [
        Row("recordings an hour", f"{len(runs) / seconds * 3600:.0f}"),
        Row("the six stages of one", _spread(spent)),
        Row("overhead within its run", _spread(beyond), f"median ≤ {MOST_BEYOND:g} s", enough),
        Row("start of its process", _spread(starts)),
        Row("waiting for a place", _spread(places)),
        Row("runs that were stopped in the middle and went on", str(resumed)),
    ]


def imports() -> list[Row]:
    """What the warm process takes to import everything."""
    program = "import time; t = time.monotonic(); from flows.service.warm import load; load(); print(time.monotonic() - t)"
    took = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout
    return [Row("imports, once", f"{float(took):.1f} s")]


def processor(samples: Sequence[Sample], *, n_runs: int) -> list[Row]:
    """Time on a processor that each part took for one recording, everything that it started and ended included."""
    spent = dict.fromkeys(PARTS, 0.0)
    for part in PARTS:
        for life in {sample.life for sample in samples}:
            mine = [s.busy for s in samples if (s.part, s.life) == (part, life)]
            spent[part] += max(mine, default=0.0)
    told = ", ".join(f"{part} {seconds / max(n_runs, 1):.1f} s" for part, seconds in spent.items())
    whole = sum(spent.values()) / max(n_runs, 1)
    return [Row("processor time for one, restarts included", f"{whole:.1f} s: {told}")]


def _between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _science(folder: Path) -> float:
    """Time that the stages of a recording took, without telling the server of them [s]."""
    stages = json.loads((folder / "run.json").read_text())["stages"]
    return sum(made["seconds"] - made["telling_seconds"] for made in stages.values())


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    late = np.quantile(seconds, 0.95)
    return f"{statistics.median(seconds):.2f} s (95 %: {late:.2f} s)"


def flatness(samples: Sequence[Sample]) -> list[Row]:
    """Memory and open files of each part in its last life, at the begin and at the end, without its start."""
    last = max((sample.life for sample in samples), default=0)
    rows = []
    for part in PARTS:
        mine = [s for s in samples if s.part == part and s.life == last]
        if not mine:
            continue  # it was stopped before there was anything to see
        long = mine[-1].instant - mine[0].instant >= SHORTEST_LIFE
        mine = mine[int(len(mine) * STARTING) :]
        third = max(len(mine) // 3, 1)
        first, end = mine[:third], mine[-third:]
        memory = [statistics.median(s.megabytes for s in half) for half in (first, end)]
        handles = [statistics.median(s.handles for s in half) for half in (first, end)]
        found = (
            f"{memory[0]:.0f} → {memory[1]:.0f} MB, {handles[0]:.0f} → {handles[1]:.0f} open files"
        )
        flat = memory[1] < 1.1 * memory[0] + 10 and handles[1] <= handles[0] + 10
        wanted = "flat" if long else "flat, in a longer life than this"
        rows.append(Row(part, found, wanted, flat or not long))
    return rows
