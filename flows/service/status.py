"""States of all recordings of an output folder, from the disk, the ledger and, if one answers, the Prefect server."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.service.doctor.reachable import NoServer, ask_server
from flows.watching import ledger
from invae.redaction import one_line
from invae.stages import stages
from invae.stages.kept import belonging_together
from invae.storage.json_text import parsed
from invae.storage.location import as_path, require_answer
from tasks.recording_folder import RUN_FILE, is_busy, is_left, read_record

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FLOW = "process"
MOST_RUNS = 200
BEGINNING = 60.0
"""Time that a run has between its start and its work on the folder [s]."""
LONGEST_INSTRUMENT = 300

State = Literal["settling", "waiting", "running", "failed", "unfinished", "set aside", "done"]

ORDER: Sequence[State] = (
    "running",
    "waiting",
    "settling",
    "failed",
    "unfinished",
    "set aside",
    "done",
)


@dataclass(frozen=True)
class RecordingStatus:
    """State of one recording."""

    recording: str
    state: State
    since: str = ""
    """UTC, ISO 8601; empty if unknown."""
    about: str = ""
    """Why it failed or waits, or its present stage."""
    flow_run: str = ""


@dataclass(frozen=True)
class LastFinished:
    """The last finished recording of an instrument."""

    instrument: str
    """Its name in the recordings, or modality and format."""
    recording: str
    finished: str
    n_recordings: int
    """Number of finished recordings of this instrument."""


@dataclass(frozen=True)
class Overview:
    """All recordings of an output folder."""

    out: str
    server: str
    """Address of the server, or why none answers."""
    asked_server: bool
    recordings: list[RecordingStatus] = field(default_factory=list)
    instruments: list[LastFinished] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The overview as JSON values."""
        return asdict(self)

    def of(self, state: State) -> list[RecordingStatus]:
        """Recordings in one state."""
        return [one for one in self.recordings if one.state == state]


def overview(out: Path) -> Overview:
    """States of all recordings of an output folder; works without a server.

    Raises:
        StoreError: if the folder lies on an object store that does not answer.
    """
    require_answer(out)
    states = {each.recording: each for each in _on_disk(out)}
    states |= {each.recording: each for each in _in_ledger(out, states)}
    found = ask_server(lambda server: (server.address, list(_on_server(server.client, out))))
    answers = not isinstance(found, NoServer)
    address, runs = found if answers else (found.reason, [])
    for run in runs:
        known = states.get(run.recording)
        checked = _checked(run, known, out)
        if _overrides(checked, known):
            states[run.recording] = checked
    ordered = sorted(states.values(), key=lambda each: (ORDER.index(each.state), each.recording))
    return Overview(str(out), address, answers, ordered, _instruments(out, ordered))


def _on_disk(out: Path) -> Iterator[RecordingStatus]:
    """States from the folders of the recordings."""
    if not out.is_dir():
        return
    for folder in sorted(path for path in out.iterdir() if _is_recording(path)):
        done = list(belonging_together(folder))
        missing = [name for name in stages.STAGES if name not in done]
        last = last_finished(folder)
        if is_busy(folder):
            yield RecordingStatus(folder.name, "running", last, f"stage {(missing or done)[0]}")
        elif missing:
            yield RecordingStatus(folder.name, "unfinished", last, _interrupted(missing[0]))
        else:
            yield RecordingStatus(folder.name, "done", last)


def _is_recording(folder: Path) -> bool:
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    first = stages.STAGES["ingest"].output
    return (folder / RUN_FILE).is_file() or any(folder.glob(f".{first}.*.partial"))


def _interrupted(stage: str) -> str:
    return f"interrupted before {stage} was made; run the same command again to continue"


def last_finished(folder: Path) -> str:
    """Time at which the last stage of a recording finished; empty if none has."""
    records = read_record(folder).get("stages", {})
    return max((str(stage.get("finished", "")) for stage in records.values()), default="")


def _in_ledger(out: Path, on_disk: Mapping[str, RecordingStatus]) -> Iterator[RecordingStatus]:
    """States from the ledger; a recording that is running on disk keeps this state."""
    for entry in ledger.read(out):
        known = on_disk.get(entry.recording)
        if known is not None and known.state == "running":
            continue
        status = RecordingStatus(
            entry.recording, entry.state, entry.since, one_line(entry.reason), entry.flow_run
        )
        yield _checked(status, known, out)


def _checked(status: RecordingStatus, known: RecordingStatus | None, out: Path) -> RecordingStatus:
    """The state, unless it is running and no process works on the folder any more; beginning runs get some time."""
    if (
        status.state != "running"
        or _age(status.since) < BEGINNING
        or not is_left(out / status.recording)
    ):
        return status
    about = (
        known.about if known and known.state == "unfinished" else _interrupted("its first stage")
    )
    return replace(status, state="unfinished", about=about)


def _age(since: str) -> float:
    """Seconds since a time in UTC, ISO 8601; infinite if it is unknown."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return math.inf


def _on_server(client: "SyncPrefectClient", out: Path) -> Iterator[RecordingStatus]:
    """State of the last run of every recording of this folder."""
    seen: set[str] = set()
    for run in _runs(client):
        values = run.parameters
        if as_path(str(values.get("out", ""))).absolute() != out.absolute():
            continue
        sources = [Path(str(source)) for source in values.get("sources", ())]
        name = values.get("name") or (stages.name_of(sources) if sources else "")
        if name and name not in seen:
            seen.add(name)
            yield _of_run(str(name), run)


def _runs(client: "SyncPrefectClient") -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=MOST_RUNS,
    )


def _of_run(name: str, run: "FlowRun") -> RecordingStatus:
    state = run.state
    if state is None:
        return RecordingStatus(name, "waiting", flow_run=str(run.id))
    since = state.timestamp.astimezone(UTC).isoformat(timespec="seconds")
    kind: State = "done"
    if state.is_running() or state.is_cancelling():
        kind = "running"
    elif not state.is_final():
        kind = "waiting"
    elif not state.is_completed():
        kind = "failed"
    words = {"done": [], "running": [state.message]}.get(kind, [state.name, state.message])
    about = ": ".join(word for word in words if word)
    return RecordingStatus(name, kind, since, one_line(about), str(run.id))


def _overrides(run: RecordingStatus, known: RecordingStatus | None) -> bool:
    """Whether the state of a run on the server replaces the known state."""
    if known is None:
        return run.state != "done"  # its folder has been removed
    if run.state == "failed":
        return known.state in ("unfinished", "done") and run.since > known.since
    if run.state == "waiting":
        return known.state in ("unfinished", "done")
    return run.state == "running" and known.state != "running"


def _instruments(out: Path, recordings: Sequence[RecordingStatus]) -> list[LastFinished]:
    """The last finished recording of every instrument."""
    by_instrument: dict[str, list[tuple[str, str]]] = {}
    for each in recordings:
        folder = out / each.recording
        if each.state == "done" and folder.is_dir():
            finished = (last_finished(folder), each.recording)
            by_instrument.setdefault(instrument_of(folder), []).append(finished)
    return [
        LastFinished(instrument, max(done)[1], max(done)[0], len(done))
        for instrument, done in sorted(by_instrument.items())
    ]


def instrument_of(folder: Path) -> str:
    """Name of the instrument of a recording, or modality and file format."""
    try:
        file = folder / stages.STAGES["ingest"].output / "zarr.json"
        attrs = parsed(file.read_bytes())["attributes"]
    except (OSError, ValueError, LookupError, TypeError):
        return "unknown"
    parts = [str(attrs[name]) for name in ("instrument", "modality", "format") if attrs.get(name)]
    return one_line(", ".join(parts))[:LONGEST_INSTRUMENT] or "unknown"
