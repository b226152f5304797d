"""What became of everything that was dropped, what it cost, and whether memory and handles stayed flat."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.machine import PARTS, Sample
from benchmarks.soak.recordings import Drop
from flows.arrivals import ledger

WARM = 0.3
"""Share of the last life that counts as starting up."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    wanted: str = ""
    reached: bool = True


def verdicts(drops: Sequence[Drop], runs: Sequence[dict[str, Any]], out: Path) -> list[Row]:
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


def costs(runs: Sequence[dict[str, Any]], out: Path, *, seconds: float) -> list[Row]:
    """How many recordings an hour, and what each cost beyond the science."""
    done = [run for run in runs if run["state_type"] == "COMPLETED"]
    whole = [run for run in done if run["run_count"] == 1]
    spent = [_science(out / run["parameters"]["name"]) for run in whole]
    beyond = [
        _between(run, "start_time", "end_time") - s for run, s in zip(whole, spent, strict=True)
    ]
    begun = [_between(run, "created", "start_time") for run in whole]
    resumed = sum(run["run_count"] > 1 for run in done)
    return [
        Row("recordings an hour", f"{len(runs) / seconds * 3600:.0f}"),
        Row("the six stages of one", _spread(spent)),
        Row("overhead within its run: beyond the stages", _spread(beyond), "≤ 1 s, on PostgreSQL"),
        Row("waiting for a place, and start of its process", _spread(begun)),
        Row("runs that were stopped in the middle and went on", str(resumed)),
    ]


def _between(run: dict[str, Any], first: str, last: str) -> float:
    return (datetime.fromisoformat(run[last]) - datetime.fromisoformat(run[first])).total_seconds()


def _science(folder: Path) -> float:
    """Time that the stages of a recording took [s]."""
    stages = json.loads((folder / "run.json").read_text())["stages"]
    return sum(made["seconds"] for made in stages.values())


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    late = np.quantile(seconds, 0.95)
    return f"{statistics.median(seconds):.2f} s (95 %: {late:.2f} s)"


def flatness(samples: Sequence[Sample]) -> list[Row]:
    """Memory and open files of each part in its last life, at the begin and at the end, without its start."""
    last = max(sample.life for sample in samples)
    rows = []
    for part in PARTS:
        mine = [s for s in samples if s.part == part and s.life == last]
        mine = mine[int(len(mine) * WARM) :]
        third = max(len(mine) // 3, 1)
        first, end = mine[:third], mine[-third:]
        memory = [statistics.median(s.megabytes for s in half) for half in (first, end)]
        handles = [statistics.median(s.handles for s in half) for half in (first, end)]
        found = (
            f"{memory[0]:.0f} → {memory[1]:.0f} MB, {handles[0]:.0f} → {handles[1]:.0f} open files"
        )
        flat = memory[1] < 1.1 * memory[0] + 10 and handles[1] <= handles[0] + 10
        rows.append(Row(part, found, "flat", flat))
    return rows


def page(rows: Sequence[Row], remark: str) -> str:
    """The table in Markdown, and what it was measured on."""
    lines = [remark, "", "| what | found | wanted |", "| --- | --- | --- |"]
    for row in rows:
        wanted = row.wanted if row.reached else f"{row.wanted} — **missed**"
        lines.append(f"| {row.what} | {row.found} | {wanted} |")
    return "\n".join(lines) + "\n"
