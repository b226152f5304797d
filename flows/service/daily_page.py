"""The page of one day: recordings received, done and quarantined, GPU hours, and links to the reports."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from flows.service.status import RecordingStatus, instrument_of, overview
from flows.watching import ledger
from invae.stages import stages
from tasks.artifacts import key_of, one_line_escaped
from tasks.progress import duration
from tasks.recording_folder import read_record

MOST_ROWS = 300
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class DayRecording:
    """A recording that was processed on this day."""

    recording: str
    instrument: str
    is_new: bool
    """Whether it was ingested on this day."""
    is_done: bool
    seconds: float
    """Time of all stages on this day [s]."""
    gpu_seconds: float
    report: Path


@dataclass(frozen=True)
class Day:
    """What happened in an output folder on one day."""

    day: date
    processed: Sequence[DayRecording]
    quarantined: Sequence[ledger.Entry]
    """Quarantined on this day."""
    unresolved: Sequence[RecordingStatus]
    """Failed or unfinished, from any day."""

    @property
    def done(self) -> int:
        """Number of recordings finished on this day."""
        return sum(one.is_done for one in self.processed)

    @property
    def received(self) -> int:
        """Number of recordings that arrived on this day, readable or not."""
        return sum(one.is_new for one in self.processed) + len(self.quarantined)

    @property
    def gpu_hours(self) -> float:
        """GPU time [h]."""
        return sum(one.gpu_seconds for one in self.processed) / SECONDS_PER_HOUR

    @property
    def hours(self) -> float:
        """Time of all stages [h]."""
        return sum(one.seconds for one in self.processed) / SECONDS_PER_HOUR


def summarise(out: Path, day: date) -> Day:
    """What happened in an output folder on a day, in local time."""
    recordings = overview(out).recordings
    unresolved = [each for each in recordings if each.state in ("failed", "unfinished")]
    quarantined = [
        entry
        for entry in ledger.read(out)
        if entry.state == "set aside" and is_on(entry.since, day)
    ]
    folders = sorted(path for path in out.glob("*") if (path / "run.json").is_file())
    processed = [each for folder in folders if (each := processed_on(folder, day)) is not None]
    return Day(day, processed, quarantined, unresolved)


def processed_on(folder: Path, day: date) -> DayRecording | None:
    """What was done on a recording on a day; None if nothing was."""
    record = read_record(folder).get("stages", {})
    of_day: dict[str, dict[str, Any]] = {
        name: stage for name, stage in record.items() if is_on(str(stage.get("finished")), day)
    }
    if not of_day:
        return None
    return DayRecording(
        recording=folder.name,
        instrument=instrument_of(folder),
        is_new="ingest" in of_day,
        is_done="report" in of_day,
        seconds=sum(float(stage.get("seconds", 0)) for stage in of_day.values()),
        gpu_seconds=sum(float(stage.get("gpu_seconds", 0)) for stage in of_day.values()),
        report=folder / stages.STAGES["report"].output / "index.html",
    )


def is_on(instant: str, day: date) -> bool:
    """Whether an instant (ISO 8601) lies on a day, in local time."""
    try:
        return datetime.fromisoformat(instant).astimezone().date() == day
    except ValueError:
        return False


def page_of(summary: Day) -> str:
    """The day as markdown; text from recordings is escaped."""
    sections = (
        _heading(summary),
        _recordings(summary),
        _quarantined(summary),
        _unresolved(summary),
    )
    return "\n".join(line for section in sections for line in section)


def _heading(summary: Day) -> Iterator[str]:
    yield f"# {summary.day.isoformat()}"
    yield ""
    yield "| received | done | quarantined | GPU | all stages |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    yield (
        f"| {summary.received} | {summary.done} | {len(summary.quarantined)} "
        f"| {summary.gpu_hours:.2f} h | {summary.hours:.2f} h |"
    )


def _recordings(summary: Day) -> Iterator[str]:
    if not summary.processed:
        yield "\nNo recording was processed."
        return
    yield "\n## Processed\n"
    yield "| recording | instrument | state | time | GPU | report |"
    yield "| --- | --- | --- | ---: | ---: | --- |"
    for one in summary.processed[:MOST_ROWS]:
        gpu = duration(one.gpu_seconds) if one.gpu_seconds else "–"
        state = "done" if one.is_done else "not finished"
        link = f"[report](/artifacts/key/{key_of(one.recording, 'page')})" if one.is_done else ""
        yield (
            f"| {one_line_escaped(one.recording)} | {one_line_escaped(one.instrument)} | {state} "
            f"| {duration(one.seconds)} | {gpu} | {link} |"
        )
    yield from _rest(len(summary.processed))


def _quarantined(summary: Day) -> Iterator[str]:
    rows = (
        (one_line_escaped(one.recording), one_line_escaped(one.reason))
        for one in summary.quarantined
    )
    yield from _table("Quarantined", ("recording", "reason"), rows)


def _unresolved(summary: Day) -> Iterator[str]:
    rows = (
        (one_line_escaped(one.recording), one.since, one_line_escaped(one.about))
        for one in summary.unresolved
    )
    yield from _table("Failed or unfinished, from any day", ("recording", "since", "reason"), rows)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A section with a table of at most MOST_ROWS rows, and the number of further ones; empty without rows."""
    listed = list(rows)
    if listed:
        yield f"\n## {title}\n"
        for cells in (heads, ["---"] * len(heads), *listed[:MOST_ROWS]):
            yield "| " + " | ".join(cells) + " |"
    yield from _rest(len(listed))


def _rest(n_rows: int) -> Iterator[str]:
    """How many rows are not shown; nothing if all are."""
    if n_rows > MOST_ROWS:
        yield f"\nand {n_rows - MOST_ROWS} more"
