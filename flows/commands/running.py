"""What `run` and the single stages do: look whether there is work, lock the folder, and start the flow or one task."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from flows import server
from flows.console import shown
from invae import stages, store
from invae.config import ProcessConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.places import place
from tasks.audience import told
from tasks.devices import follows
from tasks.folder import exclusive, read_record


def run_all(
    inputs: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    console: Console,
    verbose: bool = False,
) -> Path:
    """The report of a recording; what has been made from the same files, settings and code is not made again.

    Raises:
        ServerError: if the Prefect server cannot be started, or is lost before the work is done.
    """
    paths = stages.in_order(inputs, config.ingest.order)
    folder = stages.folder_of(paths, out, name)
    _refuse_missing(paths)
    with exclusive(folder):
        _refuse_another_recording(folder, paths)
        if all(step.current for step in _plan(folder, paths, config)):
            with shown(console) as audience:
                for stage in stages.STAGES:
                    audience.end(stage, None)
        else:
            _process(paths, out, config, name=name, console=console, verbose=verbose)
            _show_notes(folder, console)
    return folder / stages.STAGES["report"].output / "index.html"


def _show_notes(folder: Path, console: Console) -> None:
    """What the readers and descriptors remarked, a line each: no calibration, one frame, a phase that was guessed."""
    notes = [
        note
        for stage in ("ingest", "describe")
        for note in store.open_store(folder / stages.STAGES[stage].output).attrs.get("notes", [])
    ]
    for note in dict.fromkeys(notes):
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _refuse_missing(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path")


def _plan(folder: Path, paths: Sequence[Path], config: ProcessConfig) -> list[stages.Step]:
    return stages.plan(folder, stages.sources_of(paths), config)


def _process(
    paths: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    console: Console,
    verbose: bool,
) -> None:
    """Run the flow, with a server if need be; a server that goes away after the work is done costs a line."""
    server.prepare_environment(verbose=verbose)
    from flows.process import process
    from tasks.artifacts import UNREACHABLE

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    with server.prefect_api(say) as address, shown(console) as audience, told(audience):
        try:
            process([str(path) for path in paths], str(out), config, name)
        except UNREACHABLE as error:
            folder = stages.folder_of(paths, out, name)
            if not all(step.current for step in _plan(folder, paths, config)):
                raise server.ServerError(
                    f"the Prefect server at {address} was lost ({error}); the same command goes on"
                ) from error
            console.print("the Prefect server was lost on the way; the results are complete")


def _refuse_another_recording(folder: Path, paths: Sequence[Path]) -> None:
    """Another file of the same name must not take the place of results; the same file, changed, may."""
    values = read_record(folder)
    before = values.get("paths")
    if before is None or before == [str(path.resolve()) for path in paths]:
        return
    contents = [source.sha256 for source in stages.sources_of(paths)]
    if values.get("source_sha256", contents) != contents:
        raise StoreError(
            f"{folder} holds the results of another recording ({before[0]}); "
            "give --name, or another --out"
        )


def run_stage(stage: str, folder: Path, config: ProcessConfig, *, console: Console) -> Path:
    """What one stage makes, from the stores in the recording's folder; here and now, without a server."""
    inputs = [str(folder / stages.STAGES[name].output) for name in stages.STAGES[stage].inputs]
    return _call(stage, inputs, folder, config, console=console)


def run_ingest(
    paths: Sequence[Path], folder: Path, config: ProcessConfig, *, console: Console
) -> Path:
    """The store of a recording, from its files; here and now, without a server."""
    paths = stages.in_order(paths, config.ingest.order)
    _refuse_missing(paths)
    with exclusive(folder):
        _refuse_another_recording(folder, paths)
        sources = [str(path) for path in paths]
        return _call("ingest", [sources, str(folder)], folder, config, console=console)


def _call(
    stage: str,
    arguments: Sequence[str | list[str]],
    folder: Path,
    config: ProcessConfig,
    *,
    console: Console,
) -> Path:
    server.prepare_environment(verbose=False)
    from importlib import import_module

    task = getattr(import_module(f"tasks.{stage}"), stage)
    if stage == "train" and follows():  # the first process has the folder, and tells
        task.fn(*arguments, config).result()
    else:
        with exclusive(folder), shown(console) as audience, told(audience):
            task.fn(*arguments, config).result()
    return folder / stages.STAGES[stage].output


def recording_in(out: Path, name: str | None) -> Path:
    """The recording's folder that a later stage works on: `out/name`, the only one in `out`, or `out` itself.

    Raises:
        InputError: if there is none, or several to choose from.
    """
    out, recording = place(out), stages.STAGES["ingest"].output
    if name is None and (out / recording).exists():
        return out
    found = [path.parent.name for path in sorted(out.glob(f"*/{recording}"))]
    if name is not None and name in found:
        return out / name
    if name is None and len(found) == 1:
        return out / found[0]
    if not found:
        raise InputError(f"{out} holds no recording; make one with `invae ingest` or `invae run`")
    raise InputError(f"{out} holds {', '.join(found)}; choose one with --name")


def config_of(folder: Path) -> ProcessConfig:
    """The configuration that a recording was last run with.

    Raises:
        ConfigError: if none is recorded.
    """
    values = read_record(folder).get("config")
    if values is None:
        raise ConfigError(f"{folder} does not say with which configuration; give --config")
    from flows import configurations

    try:
        return configurations.checked(ProcessConfig, values, prefix="config")
    except ConfigError as error:
        raise ConfigError(
            f"{folder} was run with a configuration of another version ({error}); give --config"
        ) from error


def is_up_to_date(target: Path, key: str) -> bool:
    """Whether a store was made under this key; anything else in its place is refused.

    Raises:
        StoreError: if what is there was not made by invae.
    """
    if target.exists() and store.read_receipt(target) is None:
        raise StoreError(f"{target} exists and was not made by invae; give another --out")
    return store.is_current(target, key)
