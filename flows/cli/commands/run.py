"""`invae run` and the single stages."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer, progress_console, verbose
from tasks.devices import is_follower


def run(
    inputs: options.Inputs,
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    changes: options.Changes = None,
    device: options.Device = None,
    name: options.Name = None,
    workers: options.Workers = None,
    model: options.Model = None,
) -> None:
    """Take a recording, or a series of files, from the instrument to the report.

    What has been made from the same files, settings and code is not made again; a run that was killed goes on.

    For example:

      invae run scan.ibw --config pfm-walls --out results

      invae run PZT_final000*.h5 --set training.epochs=30 --device cuda

      invae run scan.ibw --model models/walls
    """
    from flows.cli.commands.execute import run_all, say_if_settings_differ

    settings = options.settings(config, changes=changes, device=device, workers=workers)
    console = progress_console()
    paths = options.recordings_in(inputs)
    if not changes:
        say_if_settings_differ(paths, out, settings, name=name, console=console)
    made = run_all(paths, out, settings, name=name, model=model, console=console, verbose=verbose())
    answer(made)


def ingest(
    inputs: options.Inputs,
    config: options.ConfigName = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    changes: options.Changes = None,
    name: options.Name = None,
    workers: options.Workers = None,
) -> None:
    """First stage: the instrument's files to recording.zarr.

    For example:

      invae ingest scan.ibw --out results
    """
    from flows.cli.commands.execute import run_ingest
    from invae.stages.stages import folder_of

    settings = options.settings(config, changes=changes, device=None, workers=workers)
    paths = options.recordings_in(inputs)
    folder = folder_of(paths, out, name)
    answer(run_ingest(paths, folder, settings, console=progress_console()))


def describe(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    workers: options.Workers = None,
) -> None:
    """Second stage: recording.zarr to descriptors.zarr: drift, walls, masks, patches.

    For example:

      invae describe --out results --set describe.patches.window=48
    """
    _later("describe", out, name, config, changes, workers=workers)


def train(
    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORDING…]",
            help="Folders of described recordings that one model is trained on, * and ? allowed.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="DIR|URL",
            help="Where a model of RECORDING… goes.",
            show_default=False,
        ),
    ] = None,
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
) -> None:
    """Third stage: descriptors.zarr to model/; or one model of many recordings, for `--model` of other commands.

    For example:

      invae train --out results --set model.latent_dim=3 --device cuda

      invae train results/scan_* --model models/walls

      torchrun --nproc-per-node 2 --no-python invae train --out results
    """
    if not recordings and model is None:
        _later("train", out, name, config, changes, device=device)
        return
    if not recordings or model is None:
        raise typer.BadParameter(
            "RECORDING… and --model DIR belong together: from what, and where to"
        )
    from flows.cli.commands import execute
    from invae.storage.location import as_path

    folders, model = execute.described_in(recordings), as_path(model)
    settings = execute.settings_for(
        folders[0], config, [*(changes or []), *options.where(device, None)]
    )
    answer(execute.run_together(folders, model, settings, console=progress_console()))


def embed(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
    model: options.Model = None,
) -> None:
    """Fourth stage: descriptors.zarr and model/ to embedding.zarr, the latents of every site.

    For example:

      invae embed --out results --name scan_0001

      invae embed --out results --name scan_0001 --model models/walls
    """
    if model is not None:
        from flows.cli.commands import execute

        execute.adopt_model(model, execute.recording_in(out, name), console=progress_console())
    _later("embed", out, name, config, changes, device=device)


def analyse(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
    workers: options.Workers = None,
) -> None:
    """Fifth stage: all stores to result.zarr: classes, manifold, maps, switching.

    For example:

      invae analyse --out results --set analyse.max_clusters=4
    """
    _later("analyse", out, name, config, changes, device=device, workers=workers)


def report(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
) -> None:
    """Last stage: result.zarr to report/index.html.

    For example:

      invae report --out results --set report.dpi=200
    """
    _later("report", out, name, config, changes)


def _later(
    stage: str,
    out: Path,
    name: str | None,
    config: str | None,
    changes: list[str] | None,
    *,
    device: options.DeviceName | None = None,
    workers: int | None = None,
) -> None:
    """One stage on the stores of a recording, with the configuration given or recorded."""
    from flows.cli.commands import execute

    folder = execute.recording_in(out, name)
    settings = execute.settings_for(
        folder, config, [*(changes or []), *options.where(device, workers)]
    )
    made = execute.run_stage(stage, folder, settings, console=progress_console())
    if not is_follower():
        answer(made)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(run)
    for stage in (ingest, describe, train, embed, analyse, report):
        app.command(rich_help_panel="Single stages")(stage)
