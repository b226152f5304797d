"""How recordings stand: in work, waiting, failed, set aside, done; from what lies on disk and, where one answers, the server."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.service.doctor.reachable import Reached, reached
from flows.watching import ledger
from invae.redaction import one_line
from invae.stages import stages
from invae.storage import store
from invae.storage.location import as_path
from tasks.recording_folder import RUN_FILE, is_busy, read_record

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

FLOW = "process"
MOST_RUNS = 200
LONGEST_REASON = 300

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
class Standing:
    """One recording."""

    recording: str
    state: State
    since: str = ""
    """UTC, ISO 8601; empty where it is not known."""
    about: str = ""
    """Why it failed or waits, or which stage it is in."""
    flow_run: str = ""


@dataclass(frozen=True)
class Success:
    """The last recording of an instrument that was finished."""

    instrument: str
    """What recordings say of it: modality and format of the file."""
    recording: str
    finished: str
    n_recordings: int
    """Finished ones of this instrument in all."""


@dataclass(frozen=True)
class Overview:
    """Everything in one output folder."""

    out: str
    server: str
    """Address of the server that answered, or why there is none."""
    asked_server: bool
    recordings: list[Standing] = field(default_factory=list)
    instruments: list[Success] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The overview as JSON values."""
        return asdict(self)

    def of(self, state: State) -> list[Standing]:
        """Recordings in one state."""
        return [one for one in self.recordings if one.state == state]


def overview(out: Path) -> Overview:
    """How all recordings of an output folder stand; works without a server, and says so."""
    found = {one.recording: one for one in _on_disk(out)}
    found |= {one.recording: one for one in _in_ledger(out, found)}
    with reached() as server:
        answers = isinstance(server, Reached)
        for one in _on_server(server.client, out) if isinstance(server, Reached) else ():
            if _counts_more(one, found.get(one.recording)):
                found[one.recording] = one
        said = server.address if isinstance(server, Reached) else server.reason
    ordered = sorted(found.values(), key=lambda one: (ORDER.index(one.state), one.recording))
    return Overview(str(out), said, answers, ordered, _instruments(out, ordered))


def _on_disk(out: Path) -> Iterator[Standing]:
    """What the folders of the recordings say."""
    if not out.is_dir():
        return
    for folder in sorted(path for path in out.iterdir() if _is_recording(path)):
        done = [name for name in stages.STAGES if _made(folder, name)]
        left = [name for name in stages.STAGES if name not in done]
        last = last_finished(folder)
        if is_busy(folder):
            yield Standing(folder.name, "running", last, f"at work on {(left or done)[0]}")
        elif left:
            words = f"stopped before {left[0]}; the same command goes on"
            yield Standing(folder.name, "unfinished", last, words)
        else:
            yield Standing(folder.name, "done", last)


def _is_recording(folder: Path) -> bool:
    if folder.name.startswith(".") or not folder.is_dir():
        return False
    first = stages.STAGES["ingest"].output
    return (folder / RUN_FILE).is_file() or any(folder.glob(f".{first}.*.partial"))


def _made(folder: Path, stage: str) -> bool:
    return store.read_receipt(folder / stages.STAGES[stage].output) is not None


def last_finished(folder: Path) -> str:
    """When the last stage of a recording was finished; empty if none was."""
    made = read_record(folder).get("stages", {})
    return max((str(stage.get("finished", "")) for stage in made.values()), default="")


def _in_ledger(out: Path, on_disk: Mapping[str, Standing]) -> Iterator[Standing]:
    """What a watcher knows; what is at work on disk is at work, whatever it noted last."""
    for entry in ledger.read(out):
        known = on_disk.get(entry.recording)
        if known is not None and known.state == "running":
            continue
        yield Standing(
            entry.recording, entry.state, entry.since, _short(entry.reason), entry.flow_run
        )


def _on_server(client: "SyncPrefectClient", out: Path) -> Iterator[Standing]:
    """The last run of every recording that goes into this folder."""
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


def _of_run(name: str, run: "FlowRun") -> Standing:
    state = run.state
    if state is None:
        return Standing(name, "waiting", flow_run=str(run.id))
    since = state.timestamp.astimezone(UTC).isoformat(timespec="seconds")
    kind: State = "done"
    if state.is_running() or state.is_cancelling():
        kind = "running"
    elif not state.is_final():
        kind = "waiting"
    elif not state.is_completed():
        kind = "failed"
    about = f"{state.name}: {state.message or ''}" if kind != "done" else ""
    return Standing(name, kind, since, _short(about), str(run.id))


def _counts_more(run: Standing, known: Standing | None) -> bool:
    """Whether what the server says of a run is news beside what is known already."""
    if known is None:
        return run.state != "done"  # its folder is gone
    if run.state == "failed":
        return known.state in ("unfinished", "done") and run.since > known.since
    if run.state == "waiting":
        return known.state in ("unfinished", "done")
    return run.state == "running" and known.state != "running"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _instruments(out: Path, recordings: Sequence[Standing]) -> list[Success]:
    """The last finished recording of every instrument."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in recordings:
        if one.state == "done" and (out / one.recording).is_dir():
            finished = last_finished(out / one.recording)
            found.setdefault(instrument_of(out / one.recording), []).append(
                (finished, one.recording)
            )
    return [
        Success(instrument, max(done)[1], max(done)[0], len(done))
        for instrument, done in sorted(found.items())
    ]


def instrument_of(folder: Path) -> str:
    """What a recording says of its instrument: its name, or kind of measurement and format of the file."""
    try:
        file = folder / stages.STAGES["ingest"].output / "zarr.json"
        attrs = json.loads(file.read_bytes())["attributes"]
    except (OSError, json.JSONDecodeError, KeyError):
        return "unknown"
    words = [str(attrs[name]) for name in ("instrument", "modality", "format") if attrs.get(name)]
    return _short(", ".join(words)) or "unknown"
