"""The `invae` command line. Every command imports its libraries when it is called, so that `--help` is fast."""

import errno
import inspect
import re
import sys
from types import TracebackType

import typer

from flows.cli.commands import (
    demo,
    doctor,
    explore,
    export,
    info,
    library,
    measure,
    predict,
    reprocess,
    reproduce,
    run,
    samples,
    serve,
    simulate,
    status,
    train_finder,
    train_walls,
    watch,
)
from flows.cli.terminal import VERBOSITY, print_error
from tasks import interrupts

USAGE = 2
"""Exit code of an invalid command line, as in shells."""

INTERRUPTED = 130
"""Exit code of a command that ctrl-C stopped, as in shells."""

app = typer.Typer(
    name="invae",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`invae COMMAND --help` shows examples. --debug and --verbose can be given anywhere.",
)


def show_version(requested: bool) -> None:
    """Print the version and exit; no command is needed."""
    if requested:
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
    verbose: bool = typer.Option(False, "--verbose", help="Show the Prefect log."),
) -> None:
    """Turn recordings from electron and scanning-probe microscopes into maps of invariant latents.

    For example:

      invae run scan.ibw --config pfm-walls --out results
    """
    VERBOSITY.debug, VERBOSITY.log = debug, verbose


for module in (
    run,
    demo,
    simulate,
    train_finder,
    train_walls,
    info,
    library,
    predict,
    measure,
    explore,
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


def help_without_breaks(group: typer.Typer) -> None:
    """Join the lines of every paragraph of the help texts: the terminal breaks them where they end."""
    for command in group.registered_commands:
        text = inspect.getdoc(command.callback) or ""
        command.help = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            help_without_breaks(inner.typer_instance)


help_without_breaks(app)


def main() -> None:
    """Run the command line. An error is printed in one line; --debug adds the traceback."""
    sys.excepthook = _print_unexpected
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run a command line; the exit code is 0 only if everything requested was made."""
    from invae.errors import InvaeError

    common = [option for option in ("--debug", "--verbose") if option in arguments]
    arguments = [*common, *(word for word in arguments if word not in common)] or ["--help"]
    command = typer.main.get_command(app)
    try:
        with interrupts.remembering_interrupts():
            code = int(command.main(arguments, prog_name="invae", standalone_mode=False) or 0)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "invae"
        print_error(f"{error.format_message()} (see `{path} --help`)")
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except (InvaeError, OSError) as error:
        if VERBOSITY.debug:
            raise
        print_error(_message_of(error))
        return 1
    if code == INTERRUPTED:
        print_error("stopped; run the same command again to continue")
    return code


def _message_of(error: Exception) -> str:
    """The error in one line; errors of the operating system get a remedy."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    text = f"{place}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text}; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{text}; choose an --out with write permission"
    return text


def _print_unexpected(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Exception hook for errors that are not handled; the interpreter then exits with code 1."""
    if VERBOSITY.debug:
        sys.__excepthook__(kind, error, traceback)
        return
    print_error(f"unexpected {kind.__name__}: {error}; run it again with --debug and report it")


if __name__ == "__main__":
    main()
