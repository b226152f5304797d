"""The scoreboard as a page: goals, means and worst seeds, times, peers, settings and versions."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.peers.environments import ENVIRONMENTS
from benchmarks.trial import Goal, Scores, Trial
from invae.storage.provenance import now, versions

Results = Mapping[str, list[Scores]]

CHAPTERS = {
    "latents": "Images, digits and signals",
    "microscopy": "Simulated microscopy",
    "domains": "Domain walls",
    "pairs": "Structure and property",
    "active": "Active measurement",
    "verdict": "Verdicts",
    "polycrystal": "Polycrystals",
}
"""Titles of the chapters, in their order; each can be rewritten without the others."""
HEAD = """# Scoreboard

Written by `make scoreboard`; no number is typed in. Every task generates its data from seeds, trains with the estimators of `invae` and is scored on data
that it has not seen, generated from other seeds. *Worst* is the worst of the seeds. Goals that are not reached are marked.
"""


def page(chapters: Mapping[str, str]) -> str:
    """The page in Markdown with the available chapters."""
    return "\n".join([HEAD, *(chapters[name] for name in CHAPTERS if name in chapters)])


def chapters_of(text: str) -> dict[str, str]:
    """The chapters of a page, by name."""
    chapters: dict[str, str] = {}
    for name, title in CHAPTERS.items():
        _, heading, rest = text.partition(f"## {title}\n")
        if heading:
            positions = [rest.find(f"\n## {other}\n") for other in CHAPTERS.values()]
            ends = [position for position in positions if position >= 0]
            chapters[name] = heading + rest[: min(ends) if ends else None]
    return chapters


def chapter(name: str, trials: Sequence[Trial], results: Results, *, before: str = "") -> str:
    """A chapter in Markdown.

    Args:
        name: Of the chapter.
        trials: All of the chapter.
        results: Of the trials that were run.
        before: The chapter as it was; rows of trials without results are kept from it.
    """
    old = before.splitlines()
    goals = _goals(trials, results, old)
    lines = [f"## {CHAPTERS[name]}", "", _summary(goals), ""]
    lines += [*goals, *_costs(trials, results, old)]
    lines += [*_remarks(trials, results, old), *_settings(trials), *_versions()]
    return "\n".join(lines).rstrip() + "\n"


def _summary(goals: Sequence[str]) -> str:
    """How many goals are reached, counted in the rows of the table."""
    n_reached = sum(" | **yes** | " in row for row in goals)
    n_goals = n_reached + sum(" | no | " in row for row in goals)
    n_missing = sum(row.startswith("| ") and " | not run | " in row for row in goals)
    missing = f" {n_missing} scores have not been measured." if n_missing else ""
    return f"**{n_reached} of {n_goals} goals are reached.**{missing}"


def _old_rows(old: Sequence[str], words: str) -> list[str]:
    """The rows of a task in the table of an earlier page: its first one, and those without a task after it."""
    begin = next((n for n, row in enumerate(old) if row.startswith(_row([words])[:-1])), None)
    if begin is None:
        return []
    rest = [n for n in range(begin + 1, len(old)) if not old[n].startswith("|  |")]
    return list(old[begin : rest[0] if rest else None])


def reached(goal: Goal, values: Sequence[float]) -> bool:
    """Whether the mean and the worst seed reach the goal."""
    if not np.isfinite(values).all():
        return False
    sign = 1 if goal.better == "high" else -1
    mean, least = sign * np.mean(values), min(sign * np.asarray(values))
    mean_is_enough = goal.mean is None or mean >= sign * goal.mean
    return bool(mean_is_enough and (goal.worst is None or least >= sign * goal.worst))


def _goals(trials: Sequence[Trial], results: Results, old: Sequence[str]) -> list[str]:
    lines = [
        "| task | score | to beat | goal | mean | worst | seeds | reached | peers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        if trial.peer:
            continue
        kept = _old_rows(old, trial.words)
        if kept and trial.name not in results:
            lines += [
                _with_peers(row, _peers(goal, trial, trials, results))
                for row, goal in zip(kept, trial.goals, strict=False)
            ]
            continue
        words = trial.words
        for number_of_row, goal in enumerate(trial.goals):
            cells = [
                words,
                goal.words,
                goal.beat,
                _target(goal),
                *_result(goal, results.get(trial.name)),
            ]
            before = kept[number_of_row] if number_of_row < len(kept) else ""
            peers = _peers(goal, trial, trials, results)
            cells.append(_joined(_peers_before(before), peers))
            lines.append(_row(cells))
            words = ""
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    """A row of a table; |u| in a cell must not start a new cell."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _target(goal: Goal) -> str:
    sign = "≥" if goal.better == "high" else "≤"
    limits = {"mean": goal.mean, "worst": goal.worst}
    return ", ".join(
        f"{name} {sign} {limit:g}" for name, limit in limits.items() if limit is not None
    )


def _result(goal: Goal, runs: Sequence[Scores] | None) -> list[str]:
    values = [scores[goal.score] for scores in runs or () if goal.score in scores]
    if not values:
        return ["not run", "", "", ""]
    worst = min(values) if goal.better == "high" else max(values)
    verdict = "" if not goal.is_set else ("**yes**" if reached(goal, values) else "no")
    return [number(float(np.mean(values))), number(worst), str(len(values)), verdict]


def _peers(goal: Goal, trial: Trial, trials: Sequence[Trial], results: Results) -> str:
    """Means of the peers' trials of the same task."""
    means = []
    for peer in trials:
        if peer.peer_of == trial.name and peer.name in results:
            values = [s[goal.score] for s in results[peer.name] if goal.score in s]
            if values:
                means.append(f"{peer.peer}: {number(float(np.mean(values)))}")
    return "<br>".join(means)


def _peers_before(row: str) -> str:
    """What peers reached by an earlier page; their trials need not be run again with ours."""
    return row.rstrip(" |").rpartition(" | ")[2] if ": " in row.rpartition(" | ")[2] else ""


def _with_peers(row: str, found: str) -> str:
    """An old row with what peers reached since."""
    before = _peers_before(row)
    start = row.rstrip()[: -len(f"{before} |")] if before else row.rstrip()[:-1].rstrip() + " "
    joined = _joined(before, found)
    return f"{start}{joined} |" if joined else row


def _joined(before: str, found: str) -> str:
    """Peers of an earlier page and of these results, each once; these results count."""
    means = dict(
        one.split(": ", 1) for cell in (before, found) for one in cell.split("<br>") if one
    )
    return "<br>".join(f"{name}: {mean}" for name, mean in means.items())


def number(value: float) -> str:
    """A number with three or four digits; `never` if it is not finite."""
    if not math.isfinite(value):
        return "never"
    return (
        f"{value:.0f}"
        if abs(value) >= 1000
        else f"{value:.4g}"
        if abs(value) >= 1
        else f"{value:.4f}"
    )


def _costs(trials: Sequence[Trial], results: Results, old: Sequence[str]) -> list[str]:
    lines = [
        "### Costs",
        "",
        "Means over seeds, with one thread unless stated otherwise. Images per second is the median over the epochs of a training.",
        "",
        "| task | seconds, wall | seconds, processor | images/s | epochs |",
        "|---|---|---|---|---|",
    ]
    for trial in trials:
        runs = results.get(trial.name)
        if runs and "seconds_cpu" in runs[0]:
            names = ("seconds", "seconds_cpu", "images_per_second", "epochs")
            means = [
                float(np.mean([scores.get(name, math.nan) for scores in runs])) for name in names
            ]
            cells = [f"{mean:.0f}" if math.isfinite(mean) else "" for mean in means]
            lines.append(_row([f"{trial.words} (`{trial.name}`)", *cells]))
        elif not runs:
            lines += [row for row in old if row.startswith("|") and f"(`{trial.name}`)" in row]
    return [*lines, ""]


def _remarks(trials: Sequence[Trial], results: Results, old: Sequence[str]) -> list[str]:
    lines = ["### Remarks", ""]
    for trial in trials:
        kept = [row for row in old if row.startswith(f"- `{trial.name}`: ")]
        if trial.name not in results and kept and "`: `{" not in kept[0]:
            lines.append(kept[0])
            continue
        missed = [
            f"{goal.words}: {_target(goal)} is **not reached** (seeds "
            + ", ".join(number(s.get(goal.score, math.nan)) for s in results[trial.name])
            + ")"
            for goal in trial.goals
            if trial.name in results
            and goal.is_set
            and not reached(goal, [s.get(goal.score, math.nan) for s in results[trial.name]])
        ]
        remarks = [text for text in (trial.remark, *missed) if text]
        if remarks:
            text = " ".join(f"{remark.rstrip('.')}." for remark in remarks)
            lines.append(f"- `{trial.name}`: {text}")
    return [*lines, ""]


def _settings(trials: Sequence[Trial]) -> list[str]:
    lines = ["### Settings", "", "Settings that are not listed have their defaults.", ""]
    lines += [
        f"- `{trial.name}`: `{json.dumps(dict(trial.settings), ensure_ascii=False)}`"
        for trial in trials
    ]
    return [*lines, ""]


def _versions() -> list[str]:
    ours = ", ".join(f"{name} {version}" for name, version in versions().items())
    theirs = "; ".join(
        f"{peer.package.replace('==', ' ')} with {', '.join(peer.needs)}" for peer in ENVIRONMENTS
    )
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}"
    return ["### Versions", "", f"{now()}; {machine}. {ours}.", "", f"Peers: {theirs}.", ""]
