"""The `invae` command: thin; each command imports what it needs when it is called."""

import errno
import sys
from types import TracebackType

import typer

from flows.cli.commands import (
    demo,
    doctor,
    export,
    info,
    reprocess,
    reproduce,
    run,
    samples,
    serve,
    simulate,
    status,
    train_finder,
    watch,
)
from flows.cli.terminal import MANNER, complain
from tasks import interrupts

USAGE = 2
"""Exit code of a command line that is not understood, as shells have it."""

INTERRUPTED = 130
"""Exit code of a command stopped by ctrl-C, as shells have it."""

app = typer.Typer(
    name="invae",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`invae COMMAND --help` has examples. --debug and --verbose may stand anywhere.",
)


def show_version(wanted: bool) -> None:
    """Print the version and exit, before a command is looked for."""
    if wanted:
        from invae import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def invae(
    version: bool = typer.Option(
        False,
        "--version",
        help="Show the version and exit.",
        callback=show_version,
        is_eager=True,
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    verbose: bool = typer.Option(False, "--verbose", help="Show the log of Prefect."),
) -> None:
    """Recordings from electron and scanning-probe microscopes to invariant latent maps.

    For example:

      invae run scan.ibw --config pfm-walls --out results
    """
    MANNER.debug, MANNER.verbose = debug, verbose


for module in (
    run,
    demo,
    simulate,
    train_finder,
    info,
    export,
    reproduce,
    reprocess,
    samples,
    watch,
    serve,
    status,
    doctor,
):
    module.register(app)


def main() -> None:
    """Run the command line; an error is one line, and a traceback only with --debug."""
    sys.excepthook = _unexpected
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """The exit code of a command line: 0 only if everything asked for was made."""
    from invae.errors import InvaeError

    first = [option for option in ("--debug", "--verbose") if option in arguments]
    arguments = [*first, *(word for word in arguments if word not in first)] or ["--help"]
    command = typer.main.get_command(app)
    try:
        with interrupts.remembering_interrupts():
            code = int(command.main(arguments, prog_name="invae", standalone_mode=False) or 0)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "invae"
        complain(f"{error.format_message()} (see `{path} --help`)")
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except (InvaeError, OSError) as error:
        if MANNER.debug:
            raise
        complain(_told(error))
        return 1
    if code == INTERRUPTED:
        complain("stopped; the same command goes on from here")
    return code


def _told(error: Exception) -> str:
    """The error in one line, with the remedy where the system's own words have none."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    text = f"{place}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text}; free some space, the same command goes on"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{text}; give an --out that may be written"
    return text


def _unexpected(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What the interpreter calls for an error that nobody foresaw; its exit code is 1."""
    if MANNER.debug:
        sys.__excepthook__(kind, error, traceback)
        return
    complain(f"unexpected {kind.__name__}: {error}; run it again with --debug and report it")


if __name__ == "__main__":
    main()
