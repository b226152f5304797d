"""One day of an output folder as a page: recordings in, done, set aside, time on the GPU, and where the reports are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from flows.service.status import Standing, instrument_of, overview
from flows.watching import ledger
from invae.stages import stages
from tasks.artifacts import key_of, one_line_escaped
from tasks.progress import duration
from tasks.recording_folder import read_record

MOST_ROWS = 300
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Made:
    """A recording that was worked on this day."""

    recording: str
    instrument: str
    is_new: bool
    """Whether it was taken in this day."""
    is_done: bool
    seconds: float
    """That stages took this day [s]."""
    gpu_seconds: float
    report: Path


@dataclass(frozen=True)
class Day:
    """What happened in an output folder on one day."""

    day: date
    made: Sequence[Made]
    set_aside: Sequence[ledger.Entry]
    """Put there this day."""
    troubled: Sequence[Standing]
    """Failed or unfinished, whenever that was."""

    @property
    def done(self) -> int:
        """Recordings finished this day."""
        return sum(one.is_done for one in self.made)

    @property
    def taken_in(self) -> int:
        """Recordings that came this day, readable or not."""
        return sum(one.is_new for one in self.made) + len(self.set_aside)

    @property
    def gpu_hours(self) -> float:
        """Time on the GPU [h]."""
        return sum(one.gpu_seconds for one in self.made) / SECONDS_PER_HOUR

    @property
    def hours(self) -> float:
        """Time that stages took [h]."""
        return sum(one.seconds for one in self.made) / SECONDS_PER_HOUR


def look_back(out: Path, day: date) -> Day:
    """What happened in an output folder on a day, in the time of this machine."""
    found = overview(out)
    troubled = [one for one in found.recordings if one.state in ("failed", "unfinished")]
    aside = [
        entry
        for entry in ledger.read(out)
        if entry.state == "set aside" and is_of(entry.since, day)
    ]
    folders = sorted(path for path in out.glob("*") if (path / "run.json").is_file())
    made = [one for folder in folders if (one := made_on(folder, day)) is not None]
    return Day(day, made, aside, troubled)


def made_on(folder: Path, day: date) -> Made | None:
    """What was made of a recording on a day; none if nothing was."""
    record = read_record(folder).get("stages", {})
    of_day: dict[str, dict[str, Any]] = {
        name: stage for name, stage in record.items() if is_of(str(stage.get("finished")), day)
    }
    if not of_day:
        return None
    return Made(
        recording=folder.name,
        instrument=instrument_of(folder),
        is_new="ingest" in of_day,
        is_done="report" in of_day,
        seconds=sum(float(stage.get("seconds", 0)) for stage in of_day.values()),
        gpu_seconds=sum(float(stage.get("gpu_seconds", 0)) for stage in of_day.values()),
        report=folder / stages.STAGES["report"].output / "index.html",
    )


def is_of(instant: str, day: date) -> bool:
    """Whether an instant (ISO 8601) lies in a day, in the time of this machine."""
    try:
        return datetime.fromisoformat(instant).astimezone().date() == day
    except ValueError:
        return False


def page_of(found: Day) -> str:
    """The day as markdown; what recordings say in it stays text."""
    return "\n".join([*_heading(found), *_recordings(found), *_set_aside(found), *_trouble(found)])


def _heading(found: Day) -> Iterator[str]:
    yield f"# {found.day.isoformat()}"
    yield ""
    yield "| recordings in | done | set aside | GPU | all stages |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    yield (
        f"| {found.taken_in} | {found.done} | {len(found.set_aside)} "
        f"| {found.gpu_hours:.2f} h | {found.hours:.2f} h |"
    )


def _recordings(found: Day) -> Iterator[str]:
    if not found.made:
        yield "\nNothing was made."
        return
    yield "\n## Worked on\n"
    yield "| recording | instrument | | took | GPU | report |"
    yield "| --- | --- | --- | ---: | ---: | --- |"
    for one in found.made[:MOST_ROWS]:
        gpu = duration(one.gpu_seconds) if one.gpu_seconds else "–"
        state = "done" if one.is_done else "not finished"
        link = f"[report](/artifacts/key/{key_of(one.recording, 'page')})" if one.is_done else ""
        yield (
            f"| {one_line_escaped(one.recording)} | {one_line_escaped(one.instrument)} | {state} "
            f"| {duration(one.seconds)} | {gpu} | {link} |"
        )
    if len(found.made) > MOST_ROWS:
        yield f"\nand {len(found.made) - MOST_ROWS} more"


def _set_aside(found: Day) -> Iterator[str]:
    rows = (
        (one_line_escaped(one.recording), one_line_escaped(one.reason)) for one in found.set_aside
    )
    yield from _table("Set aside", ("recording", "why"), rows)


def _trouble(found: Day) -> Iterator[str]:
    rows = (
        (one_line_escaped(one.recording), one.since, one_line_escaped(one.about))
        for one in found.troubled
    )
    yield from _table("Failed or not finished, of any day", ("recording", "since", "why"), rows)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A section with a table of as many rows as are shown; nothing if there are none."""
    shown = list(islice(rows, MOST_ROWS))
    if shown:
        yield f"\n## {title}\n"
        for cells in (heads, ["---"] * len(heads), *shown):
            yield "| " + " | ".join(cells) + " |"
