"""One look at a watched folder: what is new is waited for, what is still gets its run, what failed is judged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import BaseFileLock, Timeout

from flows.watching import fingerprint, ledger, runs, settling
from flows.watching.grouping import Arrival, arrivals
from flows.watching.ledger import Entry, instant
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
class Look:
    """What one scan found."""

    entries: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    """Those that came into another state."""
    settled_in: float | None
    """Time until the next of those that settle may be taken [s]; none if nothing settles."""

    @property
    def under_way(self) -> bool:
        """Whether a recording waits for its run, or has it now."""
        return any(entry.state in ("waiting", "running") for entry in self.entries)


class Watcher:
    """Scans one folder; any number of them, in any number of processes, may watch the same one."""

    def __init__(self, config: WatchConfig) -> None:
        self.config = config
        is_file = Path(config.config).is_file()
        read = named.load if is_file else named.pinned
        self._process = read(config.config)
        self._version = f"{self._process.name}@{self._process.version}"
        self._out = Path(config.out)
        self._runs = runs.Runs(self._process, self._out)

    def scan(self, say: Say = lambda _: None) -> Look | None:
        """What there is now, after all that can be done at once was done; nothing while another one scans.

        Args:
            say: told of every recording that comes into another state, in a line.

        Raises:
            InputError: if the folder is gone.
            ServerError: if nothing on the server runs the configuration.
            OSError: if the ledger cannot be written.
        """
        try:
            turn = turn_lock(self._out).acquire()
        except Timeout:
            return None
        with turn:
            return self._scan(say)

    def _scan(self, say: Say) -> Look:
        before = {entry.key: entry for entry in ledger.read(self._out)}
        here = {arrival.key: arrival for arrival in arrivals(self.config)}
        known = before | settling.looked_at(here, before, version=self._version)
        self._follow(known, here)
        self._note(before, known, say)
        for key in settling.settled(here, known, self.config):
            taken = {key: self._taken(here[key], known)}
            self._note(known, taken, say)
            known |= taken
        self._forget(known, here)
        changed = tuple(e for k, e in known.items() if _standing(before.get(k)) != _standing(e))
        if _aside(before) != _aside(known):
            self._show(_aside(known))
        return Look(tuple(known.values()), changed, settling.settled_in(here, known, self.config))

    def _follow(self, known: Entries, here: Mapping[str, Arrival]) -> None:
        """Look at the runs; recordings whose run the server has lost settle again, and find or get one."""
        followed = [e for e in known.values() if e.state in ("waiting", "running") or e.asked]
        found = runs.read([entry.flow_run for entry in followed if entry.flow_run])
        for entry in followed:
            run = found.get(entry.flow_run)
            if run is None:
                lost = replace(entry, state="settling", since=instant(), flow_run="", asked=False)
                known[entry.key] = lost
            elif entry.asked:
                known[entry.key] = self._tried_again(entry, run, here.get(entry.key))
            else:
                known[entry.key] = outcome_of(entry, run, self.config)

    def _tried_again(self, entry: Entry, run: "FlowRun", arrival: Arrival | None) -> Entry:
        """On request: the same run once more, under the configuration of today."""
        sources = [str(path) for path in arrival.sources] if arrival else run.parameters["sources"]
        parameters = self._runs.parameters(sources, entry.recording)
        runs.again(run.id, why="tried again on request", parameters=parameters)
        return replace(
            entry,
            state="waiting",
            since=instant(),
            reason="",
            traceback="",
            config=self._version,
            attempts=0,
            asked=False,
        )

    def _taken(self, arrival: Arrival, known: Mapping[str, Entry]) -> Entry:
        """The entry of a recording that has settled, with its run."""
        entry = known[arrival.key]
        try:
            digest = fingerprint.content_digest(arrival.files)
            mark = fingerprint.fingerprint(arrival.files)
        except FileNotFoundError:
            return entry
        except InputError as error:
            if not all(file.exists() for file in arrival.files):
                return entry
            return replace(entry, state="set aside", since=instant(), reason=str(error))
        if mark != entry.fingerprint:
            return replace(entry, since=instant(), fingerprint=mark)
        run = self._runs.find(digest)
        if run is None:
            name = self._free_name(arrival, digest, known)
            run = self._runs.submit(digest, sources=arrival.sources, name=name)
        return self._with_run(arrival, replace(entry, digest=digest), run)

    def _with_run(self, arrival: Arrival, entry: Entry, run: "FlowRun") -> Entry:
        """The entry under the name of its run, which has another one if it is a copy or was renamed."""
        theirs, ours = run.parameters["sources"], [str(path) for path in arrival.sources]
        name, reason = str(run.parameters["name"]), ""
        if theirs != ours and all(Path(path).exists() for path in theirs):
            reason = f"the same content as {theirs[0]}"
        elif theirs != ours and not (run.state and run.state.is_completed()):
            runs.change(run.id, self._runs.parameters(ours, name))
        taken = replace(
            entry,
            recording=name,
            state="waiting",
            since=instant(),
            flow_run=str(run.id),
            reason=reason,
        )
        return outcome_of(taken, run, self.config)

    def _free_name(self, arrival: Arrival, digest: str, known: Mapping[str, Entry]) -> str:
        """The arrival's name, made longer if another recording has it."""
        taken = {e.recording for key, e in known.items() if key != arrival.key and e.digest}
        before = read_record(self._out / arrival.name).get("paths")
        if arrival.name in taken or before not in (None, [str(path) for path in arrival.sources]):
            return f"{arrival.name}-{digest[:8]}"
        return arrival.name

    def _note(self, before: Mapping[str, Entry], after: Mapping[str, Entry], say: Say) -> None:
        """Write down what has changed, and tell of those that came into another state."""
        changed = [entry for key, entry in after.items() if entry != before.get(key)]
        ledger.write(self._out, changed)
        for entry in changed:
            if _standing(before.get(entry.key)) != _standing(entry):
                say(f"{entry.recording}: {entry.state}{': ' if entry.reason else ''}{entry.reason}")

    def _forget(self, known: Entries, here: Mapping[str, Arrival]) -> None:
        """Drop what is no longer there: renamed, taken away before its turn or after it was set aside."""
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

    def _show(self, aside: Iterable[Entry]) -> None:
        rows = [
            {
                "recording": e.recording,
                "file": e.key,
                "since": e.since,
                "reason": e.reason,
            }
            for e in aside
        ]
        runs.show_table(
            key_of("set-aside", self._process.name), rows, description="Recordings set aside"
        )


def _standing(entry: Entry | None) -> tuple[str, str] | None:
    return None if entry is None else (entry.state, entry.reason)


def _aside(entries: Mapping[str, Entry]) -> list[Entry]:
    return [entry for entry in entries.values() if entry.state == "set aside"]


def turn_lock(out: Path) -> BaseFileLock:
    """Held while a watcher scans: one at a time for each output folder."""
    return kernel_lock(out / ledger.FOLDER / TURN, waits=False)


def try_again(out: Path, name: str) -> Entry:
    """Ask that a recording be tried again at the next scan, by its name or that of a file.

    Raises:
        InputError: if nothing of that name was set aside.
    """
    entries = [entry for entry in ledger.read(out) if entry.state == "set aside"]
    for entry in entries:
        if name == entry.recording or name in (entry.key, Path(entry.key).name):
            wanted = replace(entry, asked=True)
            if not entry.flow_run:  # nothing ever ran: a look at the file is what is wanted
                wanted = replace(entry, state="settling", fingerprint="", reason="")
            ledger.write(out, [wanted])
            return entry
    names = ", ".join(entry.recording for entry in entries) or "nothing"
    raise InputError(f"{name!r} was not set aside in {out}; {names} was")
