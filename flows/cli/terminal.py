"""Where the command line writes: progress and errors to standard error, answers to standard output."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Manner:
    """How much is told; set once, by the first options of the command line."""

    verbose: bool = False
    debug: bool = False


MANNER = Manner()


def verbose() -> bool:
    """Whether Prefect's log is wanted."""
    return MANNER.verbose


def progress_console() -> "Console":
    """The console on which progress is drawn."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def answer(text: object) -> None:
    """Write a line of the answer; nothing in it steers the terminal."""
    from invae.errors import visible

    typer.echo(visible(str(text)))


def complain(text: str) -> None:
    """Write a line that says what went wrong."""
    from invae.redaction import one_line

    print(f"invae: {one_line(text)}", file=sys.stderr)
