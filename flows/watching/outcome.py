"""The outcome of a run for its recording: done, quarantined, or tried again later."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.watching import runs
from flows.watching.ledger import Entry, State, utc_now
from invae.config import WatchConfig

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

LONGEST_WAIT = 3600.0
"""Longest time between two attempts [s]."""


def outcome_of(entry: Entry, run: "FlowRun", config: WatchConfig) -> Entry:
    """The entry that follows from its run's state; a run that failed because of the machine is rescheduled."""
    state = run.state
    if state is None or state.is_scheduled() or state.is_pending() or state.is_paused():
        return in_state(entry, "waiting")
    if state.is_completed():
        return replace(in_state(entry, "done"), attempts=0)
    if state.is_cancelled():
        return _quarantined(entry, f"its run was cancelled ({state.message or 'in the UI'})")
    if state.is_failed() or state.is_crashed():
        return _failed(entry, run, config)
    return in_state(entry, "running")


def in_state(entry: Entry, state: State) -> Entry:
    """The entry in a state; since now if the state is new."""
    return entry if entry.state == state else replace(entry, state=state, since=utc_now())


def _failed(entry: Entry, run: "FlowRun", config: WatchConfig) -> Entry:
    failure = runs.failure(run)
    if failure.fault == "missing" and not all(Path(file).exists() for file in entry.files):
        return replace(in_state(entry, "settling"), flow_run="", reason=failure.reason)
    if failure.fault == "recording":
        return _quarantined(entry, failure.reason)
    attempts = entry.attempts + 1
    if attempts >= config.attempts:
        reason = f"given up after {attempts} attempts: {failure.reason}"
        return replace(_quarantined(entry, reason), attempts=attempts)
    wait = min(config.backoff * 2 ** (attempts - 1), LONGEST_WAIT)
    runs.reschedule(run.id, why=f"attempt {attempts + 1}, after {failure.reason}", seconds=wait)
    return replace(
        in_state(entry, "waiting"),
        reason=f"attempt {attempts} failed: {failure.reason}",
        attempts=attempts,
    )


def _quarantined(entry: Entry, reason: str) -> Entry:
    return replace(in_state(entry, "set aside"), reason=reason)
