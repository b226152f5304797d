"""`invae export`: results for other people's tools."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.terminal import answer


def export(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="A result.zarr, or the folder it lies in.")
    ],
    to: Annotated[Literal["netcdf", "hyperspy", "csv"], typer.Option("--to", help="What for.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to.", show_default="beside it"),
    ] = None,
) -> None:
    """Write a result as NetCDF, for HyperSpy, or its sites as a table.

    For example:

      invae export results/scan/result.zarr --to csv

      invae export results/scan --to netcdf --out scan.nc
    """
    from invae import stages
    from invae.results import export as write

    inside = result / stages.STAGES["analyse"].output
    answer(write(inside if inside.is_dir() else result, to=to, target=out))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(export)
