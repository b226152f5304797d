"""Progress of the stages: in a terminal a bar with rate and remaining time for each, elsewhere plain lines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tasks.progress import Pace

SECONDS_BETWEEN_LINES = 5.0

TITLES = {
    "ingest": "ingest",
    "describe": "extract patches",
    "train": "train",
    "embed": "encode",
    "analyse": "analyse",
    "report": "write report",
}


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g}/s" if speed else "", style="progress.data.speed")


class Bars:
    """Draws one progress bar per stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def begin(self, stage: str) -> None:
        """Add the bar of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(
                TITLES.get(stage, stage), total=None, note=""
            )

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """Update the bar."""
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)

    def end(self, stage: str, seconds: float | None) -> None:
        """Fill the bar; a stage without work is marked as unchanged."""
        self.begin(stage)
        task = self._tasks[stage]
        total = self._progress.tasks[self._progress.task_ids.index(task)].total or 1
        if seconds is None:
            self._progress.update(task, completed=total, total=total, note="[dim]unchanged[/dim]")
        else:
            self._progress.update(task, completed=total, total=total)
        self._progress.stop_task(task)


class Lines:
    """Prints a line every few seconds, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._paces: dict[str, Pace] = {}
        self._last = 0.0

    def begin(self, stage: str) -> None:
        """Start the clock; nothing is printed yet."""
        self._paces[stage], self._last = Pace(), time.monotonic()

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """Print a line every few seconds."""
        text, instant = self._paces[stage].describe(done, total), time.monotonic()
        if instant - self._last < SECONDS_BETWEEN_LINES or done >= total:
            return
        self._last = instant
        self._print(f"{stage}: {text}{'; ' + note if note else ''}")

    def end(self, stage: str, seconds: float | None) -> None:
        """Print a line for every stage."""
        text = "unchanged" if seconds is None else f"made in {seconds:.1f} s"
        self._print(f"{stage}: {text}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_display(console: Console) -> Iterator[Bars | Lines]:
    """Bars if the console is a terminal, lines otherwise."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)
