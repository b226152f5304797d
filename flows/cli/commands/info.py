"""`invae info`, `configs` and `formats`: contents of stores, configurations and readable formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import print_result


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File, store, model or result.")],
) -> None:
    """Show the contents of a file, store, model or result: dimensions, units, provenance.

    Of a result, the conclusions come first: the three sentences and the numbers at the top of its report.

    For example:

      invae info scan.ibw

      invae info results/scan

      invae info results/scan/result.zarr

      invae info s3://bucket/results/scan/result.zarr
    """
    from invae.results import info as lines
    from invae.storage.location import as_path

    place = as_path(path)
    for line in conclusions(place):
        print_result(line)
    print_result(lines(place))


def conclusions(path: Path) -> Iterator[str]:
    """What a result says, as lines of text; nothing for other paths."""
    from invae.stages.stages import STAGES

    output = STAGES["analyse"].output
    result = path if path.name == output else path / output
    if not (result / "zarr.json").is_file():
        return
    from invae.report.facts import facts, sentences
    from invae.results.reading import open_result

    groups = open_result(result)
    yield from sentences(groups)
    yield from (f"  {name}: {value}" for name, value in facts(groups))


def configs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[@VERSION]]",
            help="Show all settings of this configuration as YAML.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the named configurations and their versions, or show all settings of one.

    For example:

      invae configs

      invae configs pfm-walls > mine.yaml

      invae configs pfm-walls@2
    """
    from invae.config import named

    if name is not None:
        print_result(named.as_yaml(named.load(name)).rstrip())
        return
    for key in named.available():
        if "@" in key:
            continue  # listed with the current version
        config = named.load(key)
        current, *before = named.versions_of(key)
        also = f" (also {', '.join(f'@{version}' for version in before)})" if before else ""
        print_result(f"{f'{key}@{current}':<18} {config.description}{also}")


def formats() -> None:
    """List the readable file formats.

    For example:

      invae formats
    """
    from invae.readers import all_readers

    for reader in all_readers():
        print_result(f"{reader.name:<10} {' '.join(reader.extensions):<22} {reader.description}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (info, configs, formats):
        app.command()(command)
