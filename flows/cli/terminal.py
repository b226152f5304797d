"""Output of the command line: results go to standard output, progress and errors to standard error."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Verbosity:
    """What is shown besides results; set once, by the common options."""

    log: bool = False
    """Whether Prefect's log is shown."""
    debug: bool = False
    """Whether errors are shown with their traceback."""


VERBOSITY = Verbosity()


def verbose() -> bool:
    """Whether Prefect's log is shown."""
    return VERBOSITY.log


def progress_console() -> "Console":
    """The console for progress, on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_result(text: object) -> None:
    """Print a result to standard output, without control characters."""
    from invae.errors import visible

    typer.echo(visible(str(text)))


def print_error(text: str) -> None:
    """Print an error in one line to standard error."""
    from invae.redaction import one_line

    print(f"invae: {one_line(text)}", file=sys.stderr)
