"""`invae predict`: spectra at places of an image, from a model of pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands.options import DeviceName
from flows.cli.terminal import print_result, progress_console

if TYPE_CHECKING:
    import xarray as xr


def predict(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="File or store with an image.")],
    model: Annotated[
        Path,
        typer.Option(
            "--model", "-m", metavar="DIR", help="Trained model of pairs, or the folder of its run."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Target: NetCDF (.nc) or Zarr (.zarr).",
            show_default="IMAGE.spectra.nc",
        ),
    ] = None,
    spacing: Annotated[
        int | None,
        typer.Option(
            "--spacing",
            metavar="PX",
            min=1,
            help="Distance of neighbouring places in pixels.",
            show_default="a quarter of the model's window",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            metavar="Y,X",
            help="A single place in pixels, instead of a grid; can be repeated.",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="NAME",
            help="Image of the file, in the order of the model's channels; can be repeated.",
            show_default="names of the training",
        ),
    ] = None,
    frame: Annotated[int, typer.Option("--frame", min=0, help="Frame of a series.")] = 0,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            "--pixel-size",
            metavar="NM",
            help="Size of a pixel in nm; replaces that of the file.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[DeviceName, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Predict spectra where none was measured: on a grid of places of an image, or at single ones.

    Of every place: mean spectrum, sd of noise and of the model, lower and upper end of the interval. Images with other channels or
    another pixel size than those of the training are refused.

    For example:

      invae predict survey.dm3 --model results/map/model --out spectra.nc

      invae predict survey.dm3 --model results/map --spacing 4 --out spectra.zarr

      invae predict survey.dm3 --model results/map --at 120,88 --at 40.5,90
    """
    from invae.results.netcdf import write_labelled

    target = out or image.with_name(f"{image.stem}.spectra.nc")
    places = [_place(text) for text in at or []]
    _refuse_unusable(target, places, spacing)
    found = _predicted(
        image,
        _model_in(model),
        spacing=spacing,
        at=places,
        channels=channel or [],
        frame=frame,
        pixel_size=pixel_size,
        device=device,
    )
    write_labelled(found, target)
    print_result(target)


def _place(text: str) -> tuple[float, float]:
    """`y,x` as numbers.

    Raises:
        ConfigError: it is no such place.
    """
    from invae.errors import ConfigError

    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--at {text} is no place; give y,x [px], such as 120,88") from error
    return y, x


def _refuse_unusable(target: Path, places: list[tuple[float, float]], spacing: int | None) -> None:
    from invae.errors import ConfigError, InputError
    from invae.results.netcdf import LABELLED

    if places and spacing is not None:
        raise ConfigError("--at and --spacing were given; choose single places or a grid")
    if target.suffix not in LABELLED:
        raise ConfigError(
            f"--out {target} has no known suffix; give a name that ends in .nc or .zarr"
        )
    if target.exists():
        raise InputError(f"{target} exists; give another --out")


def _model_in(path: Path) -> Path:
    """The folder of the model: the given one, or that in the folder of a run."""
    from invae.stages import stages

    inside = path / stages.STAGES["train"].output
    return inside if inside.is_dir() else path


def _predicted(image: Path, model: Path, **options: object) -> "xr.Dataset":
    """Predict and show progress."""
    import time

    from flows.cli.console import progress_display
    from invae.estimators.predict_image import predict_image

    with progress_display(progress_console()) as listener:
        began = time.monotonic()
        listener.begin("predict")
        found = predict_image(
            image,
            model,
            progress=lambda done, total: listener.advance("predict", done, total, ""),
            **options,  # pyright: ignore[reportArgumentType]
        )
        listener.end("predict", time.monotonic() - began)
    return found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)
