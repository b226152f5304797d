"""One scan of a watched folder: settled recordings get their run, and runs that have ended get their outcome."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import BaseFileLock, Timeout

from flows.watching import contents, ledger, runs, settling
from flows.watching.grouping import Arrival, arrivals
from flows.watching.ledger import Entry, utc_now
from flows.watching.outcome import outcome_of
from invae.config import WatchConfig, named
from invae.errors import InputError
from tasks.artifacts import key_of
from tasks.locks import kernel_lock
from tasks.recording_folder import read_record

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TURN = "scan.lock"

Say = Callable[[str], None]
Entries = dict[str, Entry]


@dataclass(frozen=True)
class Scan:
    """The result of one scan."""

    entries: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    """Entries with a new state or reason."""
    settled_in: float | None
    """Time until the next recording has settled [s]; None if all have."""
    is_reading: bool
    """Whether settled recordings are still being read."""

    @property
    def has_active_runs(self) -> bool:
        """Whether a recording's run is waiting or running."""
        return any(entry.state in ("waiting", "running") for entry in self.entries)


class Watcher:
    """Scans one folder; several watchers in several processes may watch the same folder."""

    def __init__(self, config: WatchConfig) -> None:
        self.config = config
        is_file = Path(config.config).is_file()
        read = named.load if is_file else named.pinned
        self._process = read(config.config)

        self._out = Path(config.out)
        self._runs = runs.Runs(self._process, self._out, inside=Path(config.folder))
        self.contents = contents.Contents(self._out)

    def scan(self, say: Say = lambda _: None) -> Scan | None:
        """Scan the folder, submit runs and read their outcomes; None while another watcher scans.

        Args:
            say: called with one line for every recording whose state changes.

        Raises:
            InputError: if the folder is missing.
            ServerError: if the server has no deployment for the configuration.
            OSError: if the ledger cannot be written.
        """
        try:
            turn = turn_lock(self._out).acquire()
        except Timeout:
            return None
        with turn:
            return self._scan(say)

    def _scan(self, say: Say) -> Scan:
        before = {entry.key: entry for entry in ledger.read(self._out)}
        here = {arrival.key: arrival for arrival in arrivals(self.config)}
        known = before | settling.updated_entries(here, before)
        self._follow(known, here)
        self._write(before, known, say)
        unread = self._start(known, here, say)
        self._forget(known, here)
        changed = tuple(e for k, e in known.items() if _status(before.get(k)) != _status(e))
        if _quarantined(before) != _quarantined(known):
            self._show(_quarantined(known))
        settled_in = settling.seconds_until_settled(here, known, self.config)
        return Scan(tuple(known.values()), changed, settled_in, unread)

    def _start(self, known: Entries, here: Mapping[str, Arrival], say: Say) -> bool:
        """Find or submit the runs of settled recordings; returns whether some are still being read."""
        sizes = settling.settled_sizes(here, known, self.config)
        for key, n_bytes in sizes.items():
            self.contents.request(here[key], mark=known[key].fingerprint, n_bytes=n_bytes)
        for key in self.contents.finished():
            started = {key: self._started(here[key], known)} if key in sizes else {}
            self.contents.forget(key)
            self._write(known, started, say)
            known |= started
        left = [key for key in sizes if known[key].state == "settling"]
        reading = {
            key: replace(known[key], reason=f"its {sizes[key] / 1e9:.1f} GB are being read")
            for key in left
            if sizes[key] >= contents.LARGE_BYTES
        }
        self._write(known, reading, say)
        known |= reading
        return bool(left)

    def _follow(self, known: Entries, here: Mapping[str, Arrival]) -> None:
        """Read the outcomes of the runs; a recording whose run the server has lost settles again and gets a new one."""
        followed = [e for e in known.values() if e.state in ("waiting", "running") or e.asked]
        by_id = runs.read([entry.flow_run for entry in followed if entry.flow_run])
        for entry in followed:
            run = by_id.get(entry.flow_run)
            if run is None:
                lost = replace(entry, state="settling", since=utc_now(), flow_run="", asked=False)
                known[entry.key] = lost
            elif entry.asked:
                known[entry.key] = self._retried(entry, run, here.get(entry.key))
            else:
                known[entry.key] = outcome_of(entry, run, self.config)

    def _retried(self, entry: Entry, run: "FlowRun", arrival: Arrival | None) -> Entry:
        """Reschedule the same run, as requested, with the current configuration."""
        sources = [str(path) for path in arrival.sources] if arrival else run.parameters["sources"]
        parameters = self._runs.parameters(sources, entry.recording)
        runs.reschedule(run.id, why="tried again on request", parameters=parameters)
        return replace(
            entry,
            state="waiting",
            since=utc_now(),
            reason="",
            attempts=0,
            asked=False,
        )

    def _started(self, arrival: Arrival, known: Mapping[str, Entry]) -> Entry:
        """Find or submit the run of a settled recording; returns its entry."""
        entry = known[arrival.key]
        try:
            content = self.contents.content(arrival.key)
        except FileNotFoundError:
            return entry
        except InputError as error:
            if not all(file.exists() for file in arrival.files):
                return entry
            return replace(entry, state="set aside", since=utc_now(), reason=str(error))
        if content is None or content.before != entry.fingerprint:
            return entry
        if content.after != entry.fingerprint:
            return replace(entry, since=utc_now(), fingerprint=content.after, reason="")
        run = self._runs.find(content.digest)
        if run is None:
            name = self._free_name(arrival, content.digest, known)
            run = self._runs.submit(content.digest, sources=arrival.sources, name=name)
        return self._with_run(arrival, replace(entry, digest=content.digest), run)

    def _with_run(self, arrival: Arrival, entry: Entry, run: "FlowRun") -> Entry:
        """The entry with its run, under the run's name, which differs for a copy or a renamed file."""
        run_sources, sources = run.parameters["sources"], [str(path) for path in arrival.sources]
        name, reason = str(run.parameters["name"]), ""
        if run_sources != sources and all(Path(path).exists() for path in run_sources):
            reason = f"the same content as {run_sources[0]}"
        elif run_sources != sources and not (run.state and run.state.is_completed()):
            runs.update_parameters(run.id, self._runs.parameters(sources, name))
        waiting = replace(
            entry,
            recording=name,
            state="waiting",
            since=utc_now(),
            flow_run=str(run.id),
            reason=reason,
        )
        return outcome_of(waiting, run, self.config)

    def _free_name(self, arrival: Arrival, digest: str, known: Mapping[str, Entry]) -> str:
        """The arrival's name, with a part of its digest if another recording has that name."""
        taken = {e.recording for key, e in known.items() if key != arrival.key and e.digest}
        paths = read_record(self._out / arrival.name).get("paths")
        if arrival.name in taken or paths not in (None, [str(path) for path in arrival.sources]):
            return f"{arrival.name}-{digest[:8]}"
        return arrival.name

    def _write(self, before: Mapping[str, Entry], after: Mapping[str, Entry], say: Say) -> None:
        """Write the changed entries into the ledger, and report new states."""
        changed = [entry for key, entry in after.items() if entry != before.get(key)]
        ledger.write(self._out, changed)
        for entry in changed:
            if _status(before.get(entry.key)) != _status(entry):
                state = ledger.word_of(entry.state)
                say(f"{entry.recording}: {state}{': ' if entry.reason else ''}{entry.reason}")

    def _forget(self, known: Entries, here: Mapping[str, Arrival]) -> None:
        """Remove missing recordings that were renamed, had no run yet, or were quarantined."""
        present = {entry.digest for key, entry in known.items() if key in here} - {""}
        gone = [
            key
            for key, entry in known.items()
            if key not in here
            and (entry.state in ("settling", "set aside") or entry.digest in present)
        ]
        ledger.forget(self._out, gone)
        for key in gone:
            del known[key]

    def _show(self, entries: Iterable[Entry]) -> None:
        rows = [
            {
                "recording": e.recording,
                "file": e.key,
                "since": e.since,
                "reason": e.reason,
            }
            for e in entries
        ]
        runs.show_table(
            key_of("set-aside", self._process.name), rows, description="Quarantined recordings"
        )


def _status(entry: Entry | None) -> tuple[str, str] | None:
    return None if entry is None else (entry.state, entry.reason)


def _quarantined(entries: Mapping[str, Entry]) -> list[Entry]:
    return [entry for entry in entries.values() if entry.state == "set aside"]


def turn_lock(out: Path) -> BaseFileLock:
    """The lock that a watcher holds while it scans: one at a time for each output folder."""
    return kernel_lock(out / ledger.FOLDER / TURN, waits=False)


def request_retry(out: Path, name: str) -> Entry:
    """Request that a recording be tried again at the next scan, by its name or the name of a file.

    Raises:
        InputError: if no recording of that name is in quarantine.
    """
    entries = [entry for entry in ledger.read(out) if entry.state == "set aside"]
    for entry in entries:
        if name == entry.recording or name in (entry.key, Path(entry.key).name):
            requested = replace(entry, asked=True)
            if not entry.flow_run:  # it never ran: its file must be read again
                requested = replace(entry, state="settling", fingerprint="", reason="")
            ledger.write(out, [requested])
            return entry
    names = ", ".join(entry.recording for entry in entries) or "none"
    raise InputError(f"{name!r} is not in quarantine in {out}; in quarantine: {names}")
