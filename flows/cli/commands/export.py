"""`invae export`: stores for other people's tools."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.terminal import answer, progress_console

if TYPE_CHECKING:
    from invae.results import Format


def export(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH|URL", help="A store, or the folder in which a result.zarr lies."
        ),
    ],
    to: Annotated[Literal["netcdf", "hyperspy", "csv"], typer.Option("--to", help="What for.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE|URL", help="Where to.", show_default="beside it"),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="Only this group; may be given again."),
    ] = None,
) -> None:
    """Write a result or a recording as NetCDF, as signals for HyperSpy, or its sites as a table.

    Recordings larger than memory pass in pieces. `invae info` names the groups; the first one is called root.

    For example:

      invae export results/scan --to csv

      invae export results/scan --to netcdf --out scan.nc

      invae export results/scan/recording.zarr --to hyperspy

      invae export results/scan/recording.zarr --to hyperspy --group maps --out maps.hspy

      invae export s3://bucket/results/scan --to netcdf --out scan.nc
    """
    from invae.stages import stages
    from invae.storage.location import as_path

    source, file = as_path(path), out and as_path(out)
    inside = source / stages.STAGES["analyse"].output
    answer(_export(inside if inside.is_dir() else source, to=to, out=file, groups=groups or []))


def _export(path: Path, *, to: "Format", out: Path | None, groups: list[str]) -> Path:
    """The file, written with a bar that says how far it is."""
    from flows.cli.console import shown
    from invae.results import export as write

    def move(done: int, total: int, /) -> None:
        listener.advance("export", done, total, f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB")

    with shown(progress_console()) as listener:
        began = time.monotonic()
        listener.begin("export")
        file = write(path, to=to, target=out, groups=groups, progress=move)
        listener.end("export", time.monotonic() - began)
    return file


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(export)
