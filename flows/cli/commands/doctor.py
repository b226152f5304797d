"""`invae doctor`: whether all that runs depend on is as it should be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer

if TYPE_CHECKING:
    from flows.service.doctor.check import Check

MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}

UNWELL = 1
"""Exit code when something does not work."""

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def doctor(
    out: options.Out = Path("results"),
    fix: Annotated[
        bool, typer.Option("--fix", help="Make what is missing on the server: the GPU's slot.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look whether libraries, disk, stores, GPU and Prefect server are as they should be.

    Ends with code 1 if something does not work; a warning is none.

    For example:

      invae doctor --out results

      invae doctor --fix
    """
    from flows.service import server

    server.prepare_environment(verbose=False)
    from flows.service.doctor.checks import examine

    checks = examine(out, fix=fix)
    if as_json:
        answer(json.dumps([check.to_json() for check in checks], indent=1))
    else:
        for check in checks:
            answer(line_of(check))
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(UNWELL)


def line_of(check: "Check") -> str:
    """A check in one line, and its remedy in a second one."""
    line = f"{MARKS[check.verdict]} {check.name:<11} {check.found}"
    return f"{line}\n{'':<14}→ {check.remedy}" if check.remedy else line


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)
