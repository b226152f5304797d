"""`invae run` and the single stages."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console, verbose
from tasks.devices import is_follower


def run(
    inputs: options.Inputs,
    config: options.PickedConfig = None,
    out: options.Out = Path("results"),
    changes: options.Changes = None,
    device: options.Device = None,
    name: options.Name = None,
    workers: options.Workers = None,
    model: options.Model = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Replace a finished result without asking.")
    ] = False,
) -> None:
    """Process a recording, or a series of files, from the instrument's files to the report.

    Without --config, the content of the files decides: `invae run scan.ibw` names the configuration and the reason.

    Kind, size and device are checked and the expected time is printed before anything starts. A stage with unchanged files, settings
    and code does not run again. An interrupted run continues. In a terminal, a finished result is replaced after a question.

    For example:

      invae run scan.ibw

      invae run scan.ibw --config pfm-layers --out results

      invae run PZT_final000*.h5 --set training.epochs=30 --device cuda

      invae run scan.ibw --model models/walls
    """
    from flows.cli.commands.before_run import config_for, note_changed_settings
    from flows.cli.commands.execute import run_all

    console = progress_console()
    paths = options.recordings_in(inputs)
    # the machine is checked before any file is read
    given = [*(changes or []), *options.compute_changes(device, workers)]
    chosen = config or config_for(paths, out, name=name, changes=given, console=console)
    settings = options.settings(chosen, changes=given, device=None, workers=None)
    if not changes:
        note_changed_settings(paths, out, settings, name=name, console=console)
    page = run_all(
        paths,
        out,
        settings,
        name=name,
        model=model,
        console=console,
        verbose=verbose(),
        asks=not yes,
    )
    print_result(page)


def ingest(
    inputs: options.Inputs,
    config: options.IngestConfigName = None,
    out: options.Out = Path("results"),
    changes: options.Changes = None,
    name: options.Name = None,
    workers: options.Workers = None,
) -> None:
    """Stage 1: read the instrument's files into recording.zarr. With --config, recordings of another kind are refused.

    For example:

      invae ingest scan.ibw --out results
    """
    from flows.cli.commands.execute import run_ingest
    from invae.stages.stages import folder_of

    chosen = config or options.DEFAULT_CONFIG
    settings = options.settings(chosen, changes=changes, device=None, workers=workers)
    paths = options.recordings_in(inputs)
    folder, console = folder_of(paths, out, name), progress_console()
    print_result(run_ingest(paths, folder, settings, any_kind=config is None, console=console))


def describe(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    workers: options.Workers = None,
) -> None:
    """Stage 2: measure drift, walls, masks and patches of recording.zarr into descriptors.zarr.

    For example:

      invae describe --out results --set describe.patches.window=48
    """
    _run_stage("describe", out, name, config, changes, workers=workers)


def train(
    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORDING…]",
            help="Folders of described recordings for one common model; * and ? are allowed.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="DIR|URL",
            help="Folder of the common model.",
            show_default=False,
        ),
    ] = None,
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
) -> None:
    """Stage 3: train model/ on descriptors.zarr, or one model on several recordings for --model of other commands.

    For example:

      invae train --out results --set model.latent_dim=3 --device cuda

      invae train results/scan_* --model models/walls

      torchrun --nproc-per-node 2 --no-python invae train --out results
    """
    if not recordings and model is None:
        _run_stage("train", out, name, config, changes, device=device)
        return
    if not recordings or model is None:
        raise typer.BadParameter("give both RECORDING… and --model DIR, or neither")
    from flows.cli.commands import execute
    from invae.storage.location import as_path

    folders, model = execute.described_in(recordings), as_path(model)
    settings = execute.settings_for(
        folders[0], config, [*(changes or []), *options.compute_changes(device, None)]
    )
    print_result(execute.run_together(folders, model, settings, console=progress_console()))


def embed(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
    model: options.Model = None,
) -> None:
    """Stage 4: infer the latents of every site with model/ into embedding.zarr.

    For example:

      invae embed --out results --name scan_0001

      invae embed --out results --name scan_0001 --model models/walls
    """
    if model is not None:
        from flows.cli.commands import execute

        execute.use_model(model, execute.recording_in(out, name), console=progress_console())
    _run_stage("embed", out, name, config, changes, device=device)


def analyse(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
    device: options.Device = None,
    workers: options.Workers = None,
) -> None:
    """Stage 5: analyse all stores into result.zarr: classes, manifold, maps, descriptors of the kind.

    For example:

      invae analyse --out results --set analyse.max_clusters=4
    """
    _run_stage("analyse", out, name, config, changes, device=device, workers=workers)


def report(
    out: options.Out = Path("results"),
    name: options.Name = None,
    config: options.RecordedConfig = None,
    changes: options.Changes = None,
) -> None:
    """Stage 6: write report/index.html from result.zarr.

    For example:

      invae report --out results --set report.dpi=200
    """
    _run_stage("report", out, name, config, changes)


def _run_stage(
    stage: str,
    out: Path,
    name: str | None,
    config: str | None,
    changes: list[str] | None,
    *,
    device: options.DeviceName | None = None,
    workers: int | None = None,
) -> None:
    """Run one stage on the stores of a recording, with the given or the recorded configuration."""
    from flows.cli.commands import execute

    folder = execute.recording_in(out, name)
    settings = execute.settings_for(
        folder, config, [*(changes or []), *options.compute_changes(device, workers)]
    )
    output = execute.run_stage(stage, folder, settings, console=progress_console())
    if not is_follower():
        print_result(output)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    for stage in (ingest, describe, train, embed, analyse, report):
        app.command(rich_help_panel="Single stages")(stage)
