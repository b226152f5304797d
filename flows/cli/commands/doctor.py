"""`invae doctor`: checks of everything that runs depend on."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result

if TYPE_CHECKING:
    from flows.service.doctor.check import Check

MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}

FAILED = 1
"""Exit code if a check fails."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def doctor(
    out: options.Out = Path("results"),
    fix: Annotated[
        bool, typer.Option("--fix", help="Create the missing GPU slot on the server.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare every byte of all stores with what was written."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check libraries, disk, stores, GPU and Prefect server.

    The exit code is 1 if a check fails; warnings do not count.

    For example:

      invae doctor --out results

      invae doctor --verify

      invae doctor --fix
    """
    from flows.service import server

    server.prepare_environment(verbose=False)
    from flows.service.doctor.checks import examine
    from invae.progress import silent

    checks = examine(out, fix=fix, verify=verify, progress=_tell if verify else silent)
    if as_json:
        print_result(json.dumps([check.to_json() for check in checks], indent=1))
    else:
        for check in checks:
            print_result(line_of(check))
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(FAILED)


def _tell(done: int, total: int, /) -> None:
    """Progress on a terminal, in one line that is overwritten."""
    if sys.stderr.isatty():
        end = "\n" if done == total else "\r"
        print(f"compared {done} of {total} stores", end=end, file=sys.stderr, flush=True)


def line_of(check: "Check") -> str:
    """A check in one line; a second line shows the remedy."""
    line = f"{MARKS[check.verdict]} {check.name:<11} {check.found}"
    return f"{line}\n{'':<14}→ {check.remedy}" if check.remedy else line


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)
