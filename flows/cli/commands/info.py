"""`invae info`, `configs` and `formats`: what there is."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import answer


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, store, model or result.")],
) -> None:
    """Show what a file, store, model or result holds: dims, units, provenance.

    For example:

      invae info scan.ibw

      invae info results/scan/result.zarr

      invae info s3://bucket/results/scan/result.zarr
    """
    from invae.results import info as lines
    from invae.storage.location import as_path

    answer(lines(as_path(path)))


def configs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[@VERSION]]", help="Show this one whole, as YAML.", show_default=False
        ),
    ] = None,
) -> None:
    """List the named configurations with their versions, or show one with all its settings.

    For example:

      invae configs

      invae configs pfm-walls > mine.yaml

      invae configs pfm-walls@1
    """
    from invae.config import named

    if name is not None:
        answer(named.as_yaml(named.load(name)).rstrip())
        return
    for key in named.available():
        if "@" in key:
            continue  # told with the current one
        config = named.load(key)
        current, *before = named.versions_of(key)
        also = f" (also {', '.join(f'@{version}' for version in before)})" if before else ""
        answer(f"{f'{key}@{current}':<18} {config.description}{also}")


def formats() -> None:
    """List the formats that can be read.

    For example:

      invae formats
    """
    from invae.readers import all_readers

    for reader in all_readers():
        answer(f"{reader.name:<10} {' '.join(reader.extensions):<22} {reader.description}")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (info, configs, formats):
        app.command()(command)
