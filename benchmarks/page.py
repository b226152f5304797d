"""The scoreboard as a page: marks, means and worst seeds, times, peers beside, settings and versions."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.peers.environments import ENVIRONMENTS
from benchmarks.trial import Goal, Scores, Trial
from invae.storage.provenance import now, versions

Found = Mapping[str, list[Scores]]

CHAPTERS = {
    "latents": "Pictures, digits and signals",
    "microscopy": "Simulated microscopy",
}
"""Titles of the chapters, in their order; one is written anew without touching the others."""
HEAD = """# Scoreboard

Written by `make scoreboard`; nothing here is typed in. Every task makes its data from seeds, trains with `invae.InvariantVAE(…)` and is scored on data that
it has not seen, drawn from other seeds. *Worst* is the worst of the seeds. A mark that is not reached says so.
"""


def page(chapters: Mapping[str, str]) -> str:
    """The page in Markdown, of the chapters that there are."""
    return "\n".join([HEAD, *(chapters[name] for name in CHAPTERS if name in chapters)])


def chapters_of(text: str) -> dict[str, str]:
    """The chapters of a page, by name."""
    found: dict[str, str] = {}
    for name, title in CHAPTERS.items():
        _, there, rest = text.partition(f"## {title}\n")
        if there:
            ends = [at for other in CHAPTERS.values() if (at := rest.find(f"\n## {other}\n")) >= 0]
            found[name] = there + rest[: min(ends) if ends else None]
    return found


def chapter(name: str, trials: Sequence[Trial], found: Found) -> str:
    """A chapter in Markdown."""
    ours = [trial for trial in trials if not trial.peer]
    lines = [f"## {CHAPTERS[name]}", "", _summary(ours, found), ""]
    lines += [*_marks(trials, found), *_costs(trials, found)]
    lines += [*_remarks(trials, found), *_settings(trials), *_versions()]
    return "\n".join(lines).rstrip() + "\n"


def _summary(trials: Sequence[Trial], found: Found) -> str:
    verdicts = [
        reached(goal, [scores.get(goal.score, math.nan) for scores in found[trial.name]])
        for trial in trials
        if trial.name in found
        for goal in trial.goals
        if goal.mean is not None
    ]
    unrun = sum(trial.name not in found for trial in trials)
    left = f" {unrun} tasks have not been run." if unrun else ""
    return f"**{sum(verdicts)} of {len(verdicts)} marks are reached.**{left}"


def reached(goal: Goal, values: Sequence[float]) -> bool:
    """Whether the mean and the worst seed are where they shall be."""
    if not np.isfinite(values).all():
        return False
    sign = 1 if goal.wanted == "high" else -1
    mean, least = sign * np.mean(values), min(sign * np.asarray(values))
    enough = goal.mean is None or mean >= sign * goal.mean
    return bool(enough and (goal.worst is None or least >= sign * goal.worst))


def _marks(trials: Sequence[Trial], found: Found) -> list[str]:
    lines = [
        "| task | score | to beat | to reach | mean | worst | seeds | reached | peers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        if trial.peer:
            continue
        words = trial.words
        for goal in trial.goals:
            cells = [
                words,
                goal.words,
                goal.beat,
                _wanted(goal),
                *_result(goal, found.get(trial.name)),
            ]
            cells.append(_beside(goal, trial, trials, found))
            lines.append(_row(cells))
            words = ""
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    """A row of a table; |u| in a cell is no new cell."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _wanted(goal: Goal) -> str:
    if goal.mean is None:
        return ""
    sign = "≥" if goal.wanted == "high" else "≤"
    worst = "" if goal.worst is None else f", worst {sign} {goal.worst:g}"
    return f"mean {sign} {goal.mean:g}{worst}"


def _result(goal: Goal, runs: Sequence[Scores] | None) -> list[str]:
    values = [scores[goal.score] for scores in runs or () if goal.score in scores]
    if not values:
        return ["not run", "", "", ""]
    worst = min(values) if goal.wanted == "high" else max(values)
    verdict = "" if goal.mean is None else ("**yes**" if reached(goal, values) else "no")
    return [number(float(np.mean(values))), number(worst), str(len(values)), verdict]


def _beside(goal: Goal, trial: Trial, trials: Sequence[Trial], found: Found) -> str:
    told = []
    for peer in trials:
        if peer.beside == trial.name and peer.name in found:
            values = [s[goal.score] for s in found[peer.name] if goal.score in s]
            if values:
                told.append(f"{peer.peer}: {number(float(np.mean(values)))}")
    return "<br>".join(told)


def number(value: float) -> str:
    """Three or four digits; a value that was never reached says so."""
    if not math.isfinite(value):
        return "never"
    return (
        f"{value:.0f}"
        if abs(value) >= 1000
        else f"{value:.4g}"
        if abs(value) >= 1
        else f"{value:.4f}"
    )


def _costs(trials: Sequence[Trial], found: Found) -> list[str]:
    lines = [
        "### What it costs",
        "",
        "Means over seeds; one thread unless said. Images per second is the median over a training's epochs.",
        "",
        "| task | seconds, wall | seconds, processor | images/s | epochs |",
        "|---|---|---|---|---|",
    ]
    for trial in trials:
        runs = found.get(trial.name)
        if runs and "seconds_cpu" in runs[0]:
            names = ("seconds", "seconds_cpu", "images_per_second", "epochs")
            means = [
                float(np.mean([scores.get(name, math.nan) for scores in runs])) for name in names
            ]
            cells = [f"{mean:.0f}" if math.isfinite(mean) else "" for mean in means]
            lines.append(_row([f"{trial.words} (`{trial.name}`)", *cells]))
    return [*lines, ""]


def _remarks(trials: Sequence[Trial], found: Found) -> list[str]:
    lines = ["### Remarks", ""]
    for trial in trials:
        missed = [
            f"{goal.words}: {_wanted(goal)} is **not reached** (seeds "
            + ", ".join(number(s.get(goal.score, math.nan)) for s in found[trial.name])
            + ")"
            for goal in trial.goals
            if trial.name in found
            and goal.mean is not None
            and not reached(goal, [s.get(goal.score, math.nan) for s in found[trial.name]])
        ]
        told = [text for text in (trial.remark, *missed) if text]
        if told:
            lines.append(f"- `{trial.name}`: " + " ".join(f"{text.rstrip('.')}." for text in told))
    return [*lines, ""]


def _settings(trials: Sequence[Trial]) -> list[str]:
    lines = ["### Settings", "", "What is not named is the default.", ""]
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
