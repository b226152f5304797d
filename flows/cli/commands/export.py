"""`invae export`: stores in the formats of other programs."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.terminal import print_result, progress_console

if TYPE_CHECKING:
    from invae.results import Format


def export(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH|URL", help="A store, or a folder with a result.zarr."),
    ],
    to: Annotated[
        Literal["netcdf", "hyperspy", "csv"], typer.Option("--to", help="Target format.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE|URL", help="Target file.", show_default="beside the store"
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="Export only this group; can be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file without asking.")
    ] = False,
) -> None:
    """Export a result or a recording to NetCDF or HyperSpy, or its sites to a CSV table.

    A file that exists is replaced after a question, or with --overwrite. Recordings larger than memory are written in pieces. `invae info` lists the groups; the first one is called root.

    For example:

      invae export results/scan --to csv

      invae export results/scan --to netcdf --out scan.nc

      invae export results/scan/recording.zarr --to hyperspy

      invae export results/scan/recording.zarr --to hyperspy --group maps --out maps.hspy

      invae export s3://bucket/results/scan --to netcdf --out scan.nc
    """
    from invae.errors import InputError
    from invae.results.export import file_beside
    from invae.stages import stages
    from invae.storage.location import as_path

    source, file = as_path(path), out and as_path(out)
    inside = source / stages.STAGES["analyse"].output
    store = inside if inside.is_dir() else source
    if not store.exists():
        raise InputError(f"{path} does not exist; check the path")
    if not overwrite:
        _ask_to_replace(file or file_beside(store, to))
    print_result(_export(store, to=to, out=file, groups=groups or []))


def _ask_to_replace(file: Path) -> None:
    """Ask whether to replace a file that exists.

    Raises:
        ConfigError: nobody can be asked.
    """
    from invae.errors import ConfigError

    if not file.exists():
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{file} exists; give --overwrite to replace it, or another --out")
    typer.confirm(f"{file} exists. Replace it?", abort=True)


def _export(path: Path, *, to: "Format", out: Path | None, groups: list[str]) -> Path:
    """Write the file and show progress."""
    from flows.cli.console import progress_display
    from invae.results import export as write

    def advance(done: int, total: int, /) -> None:
        listener.advance("export", done, total, f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB")

    with progress_display(progress_console()) as listener:
        began = time.monotonic()
        listener.begin("export")
        file = write(path, to=to, target=out, groups=groups, progress=advance)
        listener.end("export", time.monotonic() - began)
    return file


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
