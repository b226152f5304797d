"""`invae status`: states of all recordings, with reasons, and the last finished one of every instrument."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result

if TYPE_CHECKING:
    from flows.service.status import Overview, RecordingStatus

MOST_LINES = 20
"""Recordings listed per state; --json lists all."""


def status(
    out: options.Out = Path("results"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with all recordings.")
    ] = False,
) -> None:
    """Show which recordings run, wait, failed or are quarantined, and the last finished one of every instrument.

    Works with and without a Prefect server; the second line tells which.

    For example:

      invae status --out results

      invae status --json
    """
    from flows.service import server

    server.prepare_environment(verbose=False)
    from flows.service.status import overview
    from invae.storage.location import as_path

    states = overview(as_path(out))
    if as_json:
        print_result(json.dumps(states.to_json(), indent=1))
        return
    for line in lines_of(states):
        print_result(line)


def lines_of(states: "Overview") -> Iterator[str]:
    """The overview in lines of text."""
    from flows.service.status import ORDER
    from flows.watching.ledger import word_of

    yield f"{states.out}: {len(states.recordings)} recordings"
    yield f"server: {states.server}" if states.asked_server else f"no server: {states.server}"
    for state in ORDER:
        recordings = states.of(state)
        if not recordings:
            continue
        yield f"{word_of(state)}: {len(recordings)}"
        if state == "done":
            continue
        yield from map(_line, recordings[:MOST_LINES])
        if len(recordings) > MOST_LINES:
            yield f"  … and {len(recordings) - MOST_LINES} more; --json lists all"
    if states.instruments:
        yield "last finished:"
    for one in states.instruments:
        yield f"  {one.instrument}: {one.recording}, {one.finished} ({one.n_recordings} in total)"


def _line(status: "RecordingStatus") -> str:
    since = f", since {status.since}" if status.since else ""
    return f"  {status.recording}{since}{': ' + status.about if status.about else ''}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)
