"""`invae status`: what runs, what waits, what failed and why, what is set aside, and what was finished last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer

if TYPE_CHECKING:
    from flows.service.status import Overview, Standing

MOST_LINES = 20
"""Recordings listed of one state; --json has all."""


def status(
    out: options.Out = Path("results"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer in JSON, with everything.")
    ] = False,
) -> None:
    """Show what runs, waits, failed or is set aside, and why, and what was finished last of every instrument.

    Works with and without a Prefect server; says which.

    For example:

      invae status --out results

      invae status --json
    """
    from flows.service import server

    server.prepare_environment(verbose=False)
    from flows.service.status import overview
    from invae.storage.location import as_path

    found = overview(as_path(out))
    if as_json:
        answer(json.dumps(found.to_json(), indent=1))
        return
    for line in lines_of(found):
        answer(line)


def lines_of(found: "Overview") -> Iterator[str]:
    """The overview in lines."""
    from flows.service.status import ORDER

    yield f"{found.out}: {len(found.recordings)} recordings"
    yield f"server: {found.server}" if found.asked_server else f"without a server: {found.server}"
    for state in ORDER:
        here = found.of(state)
        if not here:
            continue
        yield f"{state}: {len(here)}"
        if state == "done":
            continue
        yield from map(_line, here[:MOST_LINES])
        if len(here) > MOST_LINES:
            yield f"  … and {len(here) - MOST_LINES} more; --json has all"
    if found.instruments:
        yield "last finished:"
    for one in found.instruments:
        yield f"  {one.instrument}: {one.recording}, {one.finished} ({one.n_recordings} in all)"


def _line(one: "Standing") -> str:
    since = f", since {one.since}" if one.since else ""
    return f"  {one.recording}{since}{': ' + one.about if one.about else ''}"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(status)
