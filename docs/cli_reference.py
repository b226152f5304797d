"""Writes docs/reference/cli.md from the commands: `python -m docs.cli_reference`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import typer.core
import typer.main

from flows.cli.main import app

PAGE = Path(__file__).parent / "reference" / "cli.md"
HEAD = """# Commands

Written by `python -m docs.cli_reference` from the commands themselves; `invae COMMAND --help` shows the same. The exit code is 0 only if everything that was asked for
was made. Results go to standard output, progress and errors to standard error. `--debug` (the traceback of an error) and `--verbose` (the log of Prefect) can be given anywhere.
"""
HELP = "--help"


def page() -> str:
    """The whole page as Markdown."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    sections = [
        line for name, command in commands(group) for line in _section(f"invae {name}", command)
    ]
    return "\n".join([HEAD, *sections]).rstrip() + "\n"


def commands(
    group: typer.core.TyperGroup, prefix: str = ""
) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Names and commands of a group, and of the groups in it, in the order of `--help`."""
    context = group.context_class(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        elif isinstance(command, typer.core.TyperCommand) and not command.hidden:
            yield f"{prefix}{name}", command


def _section(name: str, command: typer.core.TyperCommand) -> Iterator[str]:
    text, _, examples = inspect.cleandoc(command.help or "").partition("For example:")
    yield f"## {name}\n"
    yield f"{_joined(text)}\n"
    if lines := _joined(examples).splitlines():
        yield "\n".join(["```sh", *filter(None, (line.strip() for line in lines)), "```\n"])
    rows = [row for param in command.params if HELP not in param.opts for row in _row(param)]
    if rows:
        yield "\n".join(
            ["| argument or option | meaning | default |", "| --- | --- | --- |", *rows]
        )
        yield ""


def _row(param: object) -> Iterator[str]:
    assert isinstance(param, typer.core.TyperArgument | typer.core.TyperOption)
    is_argument = isinstance(param, typer.core.TyperArgument)
    value = param.metavar or ""
    if not is_argument and not value and not getattr(param, "is_flag", False):
        value = _kind(param)
    names = value if is_argument else ", ".join([*param.opts, *param.secondary_opts])
    words = names if is_argument or not value else f"{names} {value}"
    default = "required" if param.required else _default(param)
    yield f"| `{_cell(words)}` | {_cell(param.help or '')} | {_cell(default)} |"


def _kind(param: typer.core.TyperOption) -> str:
    """The values of an option without a name for them: `auto|cpu|cuda`, `INT`."""
    annotation = param.type_descriptor.annotation
    choices = get_args(annotation)
    return "|".join(map(str, choices)) or str(getattr(annotation, "__name__", "")).upper()


def _default(param: typer.core.TyperArgument | typer.core.TyperOption) -> str:
    if isinstance(param.show_default, str):
        return param.show_default
    if not param.show_default or param.default in (None, False, ()):
        return ""
    return f"`{param.default}`"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def _joined(text: str) -> str:
    """Paragraphs in one line each."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
