"""`invae library`: the pairs of finished runs, searched by their spectra."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.terminal import print_result

if TYPE_CHECKING:
    import xarray as xr

library = typer.Typer(no_args_is_help=True, help="Search the pairs of finished runs.")

HEADS = ("recording", "site", "frame", "y", "x", "y", "x", "value", "distance", "predicted")
SUFFIXES = (".png", ".nc", ".zarr")


@library.command()
def find(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN…", help="Folders of finished runs of pairs, on one axis."),
    ],
    peak: Annotated[
        float | None,
        typer.Option(
            "--peak",
            metavar="VALUE",
            help="Wanted position of the maximum, in the unit of the axis.",
            show_default=False,
        ),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            "--band",
            metavar="VALUE",
            help="Wanted integral over the axis; of loops, their area.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            "--like",
            metavar="FILE",
            help="A wanted spectrum on the same axis: NetCDF, Zarr, or CSV with the columns axis and value.",
            show_default=False,
        ),
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Also a picture (.png), or patches, spectra and places (.nc, .zarr).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find the patches whose measured spectra are nearest to a wanted maximum, integral or spectrum.

    Prints recording, number of the site, frame, place in px and nm, value, distance from the wanted one, and the value of the held-out
    prediction. With --like, values are relative errors. With --peak, weak spectra and those with their maximum at an end of the axis are left
    out.

    For example:

      invae library find results/plasmons --peak 0.81

      invae library find results/map_1 results/map_2 --peak 0.81 --number 12 --out found.png

      invae library find results/loops --band 3.2 --out found.nc

      invae library find results/plasmons --like wanted.csv --out found.png
    """
    from invae.results import library as search
    from invae.results.netcdf import write_labelled
    from invae.storage.location import as_path

    if out is not None:
        _refuse_unusable(out)
    found = search.find(
        [as_path(run) for run in runs],
        peak=peak,
        band=band,
        like=None if like is None else search.read_spectrum(like),
        number=number,
    )
    for line in _table(found):
        print_result(line)
    if out is None:
        return
    if out.suffix == ".png":
        from invae.report.pairs.library import write_picture

        write_picture(found, out)
    else:
        write_labelled(found, out)


def _refuse_unusable(out: Path) -> None:
    from invae.errors import ConfigError, InputError

    if out.suffix not in SUFFIXES:
        raise ConfigError(
            f"--out {out} has no known suffix; give a name that ends in {', '.join(SUFFIXES)}"
        )
    if out.exists():
        raise InputError(f"{out} exists; give another --out")


def _table(found: "xr.Dataset") -> list[str]:
    """The found pairs as lines of equal columns, the units below their names."""
    unit = str(found["value"].attrs["units"])
    units = ("", "", "", "px", "px", "nm", "nm", *([unit if unit != "1" else ""] * 3))
    names = ("recording", "number", "frame", "y", "x", "y_nm", "x_nm", "value", "distance", "predicted_value")  # fmt: skip
    columns = [
        [
            str(v) if isinstance(v, str | int) else f"{v:.4g}"
            for v in found[name].to_numpy().tolist()
        ]
        if name in found.variables
        else ["–"] * found.sizes["site"]
        for name in names
    ]
    whole = [[*cells] for cells in zip(HEADS, units, *zip(*columns, strict=True), strict=True)]
    widths = [max(map(len, cells)) for cells in whole]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in zip(*whole, strict=True)
    ]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(library, name="library")
