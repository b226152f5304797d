"""What the state of a run means for its recording: done, set aside, or to be tried again, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.watching import runs
from flows.watching.ledger import Entry, instant
from flows.watching.ledger import State as Standing
from invae.config import WatchConfig

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

LONGEST_WAIT = 3600.0
"""Between two attempts [s]."""


def outcome_of(entry: Entry, run: "FlowRun", config: WatchConfig) -> Entry:
    """The entry after a look at its run; a run that the machine failed is put back on the list."""
    state = run.state
    if state is None or state.is_scheduled() or state.is_pending() or state.is_paused():
        return standing(entry, "waiting")
    if state.is_completed():
        return replace(standing(entry, "done"), due="", attempts=0)
    if state.is_cancelled():
        return _set_aside(entry, f"its run was cancelled ({state.message or 'in the UI'})", "")
    if state.is_failed() or state.is_crashed():
        return _failed(entry, run, config)
    return standing(entry, "running")


def standing(entry: Entry, state: Standing) -> Entry:
    """The entry in a state, since now if it is another one."""
    return entry if entry.state == state else replace(entry, state=state, since=instant())


def _failed(entry: Entry, run: "FlowRun", config: WatchConfig) -> Entry:
    failure = runs.failure(run)
    if failure.fault == "missing" and not all(Path(file).exists() for file in entry.files):
        return replace(standing(entry, "settling"), flow_run="", reason=failure.reason)
    if failure.fault == "recording":
        return _set_aside(entry, failure.reason, failure.traceback)
    attempts = entry.attempts + 1
    if attempts >= config.attempts:
        reason = f"given up after {attempts} attempts: {failure.reason}"
        return replace(_set_aside(entry, reason, failure.traceback), attempts=attempts)
    wait = min(config.backoff * 2 ** (attempts - 1), LONGEST_WAIT)
    due = datetime.now(UTC) + timedelta(seconds=wait)
    runs.again(run.id, why=f"attempt {attempts + 1}, after {failure.reason}", seconds=wait)
    return replace(
        standing(entry, "waiting"),
        reason=f"attempt {attempts} failed: {failure.reason}",
        traceback=failure.traceback,
        due=due.isoformat(timespec="seconds"),
        attempts=attempts,
    )


def _set_aside(entry: Entry, reason: str, traceback: str) -> Entry:
    return replace(standing(entry, "set aside"), reason=reason, traceback=traceback, due="")
