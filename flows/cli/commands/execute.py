"""What `run` and the single stages do: look whether there is work, lock the folder, and start the flow or one task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from glob import glob
from pathlib import Path

from rich.console import Console

from flows.cli.console import Lines, shown
from flows.service import server
from invae.config import ProcessConfig
from invae.errors import ConfigError, InputError, InvaeError, ServerError, StoreError
from invae.stages import stages, versions
from invae.storage import store
from invae.storage.location import ObjectPath, as_path
from invae.storage.provenance import Receipt
from tasks.devices import is_follower
from tasks.progress import ProgressListener, reporting_to
from tasks.recording_folder import exclusive, read_record


def run_all(
    inputs: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    model: Path | None = None,
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
        if all(step.current for step in _plan(folder, paths, config, model)):
            with shown(console) as listener:
                for stage in stages.STAGES:
                    listener.end(stage, None)
        else:
            _process(paths, out, config, name=name, model=model, console=console, verbose=verbose)
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


def _plan(
    folder: Path, paths: Sequence[Path], config: ProcessConfig, model: Path | None = None
) -> list[stages.Step]:
    given = {} if model is None else {"train": receipt_of_model(model).key}
    return stages.plan(folder, stages.sources_of(paths), config, given=given)


def receipt_of_model(model: Path) -> Receipt:
    """What a model from elsewhere was made from.

    Raises:
        StoreError: if there is no finished model.
    """
    receipt = store.read_receipt(as_path(model))
    if receipt is None or receipt.stage != "train":
        raise StoreError(
            f"{model} holds no finished model; give the folder that `invae train` made"
        )
    return receipt


def _process(
    paths: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    model: Path | None,
    console: Console,
    verbose: bool,
) -> None:
    """Run the flow for one recording."""
    folder = stages.folder_of(paths, out, name)

    def flow() -> None:
        from flows.process import process

        process([str(path) for path in paths], str(out), config, name, model and str(model))

    def is_done() -> bool:
        return all(step.current for step in _plan(folder, paths, config, model))

    with shown(console) as listener:
        _with_server(flow, is_done, listener, console=console, verbose=verbose)


def run_many(
    names: Sequence[str],
    out: Path,
    config: ProcessConfig,
    *,
    model: Path | None,
    console: Console,
    verbose: bool = False,
) -> dict[str, str]:
    """Have recordings under another configuration; why it failed, for each that did.

    Raises:
        ServerError: if the Prefect server cannot be started, or is lost before the work is done.
    """
    failures: dict[str, str] = {}

    def flow() -> None:
        from flows.reprocess import reprocess

        ended = reprocess(list(names), str(out), config, model and str(model), return_state=True)
        states = ended.result(raise_on_failure=False)
        if isinstance(states, Exception):
            raise states
        for name, state in zip(names, states, strict=True):
            if isinstance(error := state.result(raise_on_failure=False), InvaeError | OSError):
                failures[name] = str(error)
            elif isinstance(error, BaseException):
                raise error

    def is_done() -> bool:
        from tasks.plans import plan_of

        plans = [plan_of(n, str(out), config, model=model and str(model)) for n in names]
        return all(plan.is_done for plan in plans)

    _with_server(flow, is_done, Lines(console), console=console, verbose=verbose)
    return failures


def _with_server(
    flow: Callable[[], None],
    is_done: Callable[[], bool],
    listener: ProgressListener,
    *,
    console: Console,
    verbose: bool,
) -> None:
    """Run a flow, with a server if need be; a server that goes away after the work is done costs a line."""
    server.prepare_environment(verbose=verbose)
    from tasks.artifacts import UNREACHABLE

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    with server.prefect_api(say) as address, reporting_to(listener):
        try:
            flow()
        except UNREACHABLE as error:
            if not is_done():
                raise ServerError(
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
    _call(stage, [*inputs, config], folder, console=console)
    return folder / stages.STAGES[stage].output


def run_together(
    folders: Sequence[Path], model: Path, config: ProcessConfig, *, console: Console
) -> Path:
    """One model of the patches of several recordings; here and now, without a server."""
    patches = [str(folder / stages.STAGES["describe"].output) for folder in folders]
    _call("train", [patches, str(model), config], model, task="train_together", console=console)
    return model


def adopt_model(model: Path, folder: Path, *, console: Console) -> Path:
    """A model from elsewhere in a recording's folder, if it takes the recording's patches."""
    receipt_of_model(model)
    patches = str(folder / stages.STAGES["describe"].output)
    _call("use_model", [patches, str(model)], folder, console=console)
    return folder / stages.STAGES["train"].output


def run_ingest(
    paths: Sequence[Path], folder: Path, config: ProcessConfig, *, console: Console
) -> Path:
    """The store of a recording, from its files; here and now, without a server."""
    paths = stages.in_order(paths, config.ingest.order)
    _refuse_missing(paths)
    with exclusive(folder):
        _refuse_another_recording(folder, paths)
        sources = [str(path) for path in paths]
        _call("ingest", [sources, str(folder), config], folder, console=console)
    return folder / stages.STAGES["ingest"].output


def _call(
    room: str,
    arguments: Sequence[str | list[str] | ProcessConfig],
    folder: Path,
    *,
    task: str = "",
    console: Console,
) -> None:
    """Let a task of a room of `tasks` work in a folder; the one of the same name, if no other is named."""
    server.prepare_environment(verbose=False)
    from importlib import import_module

    run = getattr(import_module(f"tasks.{room}"), task or room)
    if room == "train" and is_follower():  # the first process has the folder, and tells
        run.fn(*arguments).result()
    else:
        with exclusive(folder), shown(console) as listener, reporting_to(listener):
            run.fn(*arguments).result()


def described_in(patterns: Sequence[str]) -> list[Path]:
    """Folders of described recordings, each once, in the order given and by name inside a pattern.

    Raises:
        InputError: if a pattern fits nothing, or a folder holds no descriptors.
    """
    output = stages.STAGES["describe"].output
    found: list[Path] = []
    for pattern in patterns:
        path = as_path(pattern)
        if path.name == versions.FOLDER and not (path / output).exists():
            continue  # a shell's * names it with the recordings
        if path.is_dir():
            fitting = [path.parent if path.name == output else path]
        else:
            fitting = sorted(_fitting(path / output), key=stages.natural)
        if not fitting or store.read_receipt(fitting[0] / output) is None:
            raise InputError(
                f"{pattern} holds no {output}; make it with `invae describe` or `invae run`"
            )
        found += fitting
    return list(dict.fromkeys(found))


def _fitting(pattern: Path) -> Iterator[Path]:
    """Folders in which there is what a pattern means."""
    if isinstance(pattern, ObjectPath):
        found = type(pattern)(*pattern.parts[:2]).glob("/".join(pattern.parts[2:]))
    else:
        found = map(Path, glob(str(pattern)))
    for path in found:
        yield path.parent


def recording_in(out: Path, name: str | None) -> Path:
    """The recording's folder that a later stage works on: `out/name`, the only one in `out`, or `out` itself.

    Raises:
        InputError: if there is none, or several to choose from.
    """
    out, recording = as_path(out), stages.STAGES["ingest"].output
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


def settings_for(folder: Path, config: str | None, changes: Sequence[str]) -> ProcessConfig:
    """The configuration that is named, or that a recording was last run with, with changes."""
    from invae.config import named

    if config is None:
        return named.amended(config_of(folder), changes)
    return named.load(config, changes=changes)


def say_if_settings_differ(
    inputs: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    console: Console,
) -> None:
    """A line, if results are there that were made with other settings under the same name and version."""
    paths = stages.in_order(inputs, config.ingest.order)
    folder = stages.folder_of(paths, out, name)
    before = read_record(folder).get("config") or {}
    if (before.get("name"), before.get("version")) != (config.name, config.version):
        return
    now = config.model_dump(mode="json", exclude={"description", "compute"})
    differing = sorted(_differing(before, now))
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        console.print(
            f"note: {folder} was made with another {config.name}@{config.version} "
            f"({', '.join(differing[:3])}{more}): with --set, or the configuration was changed "
            "without a new version",
            markup=False,
            soft_wrap=True,
        )


def _differing(
    before: Mapping[str, object], now: Mapping[str, object], place: str = ""
) -> set[str]:
    """Keys of `now` that are in both and not the same; a setting that is newer than the results is none."""
    found: set[str] = set()
    for key in now.keys() & before.keys():
        old, new = before[key], now[key]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= _differing(old, new, f"{place}{key}.")
        elif old != new:
            found.add(f"{place}{key}")
    return found


def config_of(folder: Path) -> ProcessConfig:
    """The configuration that a recording was last run with.

    Raises:
        ConfigError: if none is recorded.
    """
    values = read_record(folder).get("config")
    if values is None:
        raise ConfigError(f"{folder} does not say with which configuration; give --config")
    from invae.config import named

    try:
        return named.checked(ProcessConfig, values, prefix="config")
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
