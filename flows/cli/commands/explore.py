"""`invae explore`: a result, live in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import print_result


def explore(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="Folder of a recording, or its result.zarr.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Show a result live in a browser on this machine until ctrl-C.

    The live page does more than the report. The model decodes while you drag through the latent plane. Virtual detectors form images
    of the stored scan. Sites that you select and name train a semi-supervised model.

    The page reloads when a run replaces the result. It waits while there is no finished result.

    For example:

      invae explore results/scan_0001

      invae explore results/scan_0001 --port 8080 --no-browser
    """
    from flows.exploring.server import serve

    folder = _folder_of(result)

    def say(address: str) -> None:
        print_result(address)
        if browser:
            typer.launch(address)

    serve(folder, port=port, on_address=say)


def _folder_of(result: Path) -> Path:
    """The folder of a recording.

    Raises:
        InputError: it does not exist, or holds no recording.
    """
    from invae.errors import InputError
    from invae.stages.stages import STAGES

    names = {stage.output for stage in STAGES.values()}
    folder = result.parent if result.name in names else result
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; give the folder of a recording")
    if not any((folder / name).exists() for name in (*names, "run.json")):
        raise InputError(f"{folder} holds no recording; give a folder below --out of `invae run`")
    return folder.absolute()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explore)
