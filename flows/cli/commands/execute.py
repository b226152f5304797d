"""The work of `run` and of the single stages: check what is needed, lock the folder, run the flow or one task."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path

from rich.console import Console

from flows.cli.commands import before_run
from flows.cli.console import Lines, progress_display
from flows.service import server
from invae.config import ProcessConfig
from invae.errors import ConfigError, InputError, InvaeError, ServerError, StoreError
from invae.stages import stages, versions
from invae.storage import store
from invae.storage.location import ObjectPath, as_path
from invae.storage.provenance import Receipt
from invae.verdict.findings import verdict_in
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
    asks: bool = False,
) -> Path:
    """Run all stages of a recording and return its report; a stage with an unchanged key does not run again.

    With `asks`, a person in the terminal is asked before a finished result is replaced.

    Raises:
        ServerError: if the Prefect server does not start, or is lost before the work is complete.
    """
    paths = stages.in_order(inputs, config.ingest.order)
    folder = stages.folder_of(paths, out, name)
    before_run.refuse_missing(paths)
    with exclusive(folder):
        _refuse_another_recording(folder, paths)
        due = [s.stage.name for s in _plan(folder, paths, config, model) if not s.current]
        if not due:
            with progress_display(console) as listener:
                for stage in stages.STAGES:
                    listener.end(stage, None)
        else:
            before_run.check(paths, folder, config, due=due, console=console)
            if asks:
                before_run.ask_to_replace(folder, config, due)
            with _telling_kept(folder, console):
                _process(
                    paths, out, config, name=name, model=model, console=console, verbose=verbose
                )
            _show_notes(folder, console)
        _show_verdict(folder, console)
    return folder / stages.STAGES["report"].output / "index.html"


@contextmanager
def _telling_kept(folder: Path, console: Console) -> Iterator[None]:
    """Print where the results of other settings are that the work inside replaces."""
    before = versions.folders_of(folder.parent, folder.name)
    yield
    for version in versions.folders_of(folder.parent, folder.name):
        if version not in before and version.exists():
            console.print(
                f"note: the results of other settings are kept in {version}; delete it if you do not need them",
                markup=False,
                soft_wrap=True,
            )


def _show_notes(folder: Path, console: Console) -> None:
    """Print the notes of reader and descriptor, such as a missing calibration, one line each."""
    notes = [
        note
        for stage in ("ingest", "describe")
        for note in store.open_store(folder / stages.STAGES[stage].output).attrs.get("notes", [])
    ]
    for note in dict.fromkeys(notes):
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _show_verdict(folder: Path, console: Console) -> None:
    """Print the verdict on the result: the light, and what speaks against it, one line each."""
    # a finished recording is left within a second: only the attributes are read, without xarray
    attributes = store.attributes_of(folder / stages.STAGES["analyse"].output)
    if (verdict := verdict_in(attributes)) is not None:
        for line in verdict.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _plan(
    folder: Path, paths: Sequence[Path], config: ProcessConfig, model: Path | None = None
) -> list[stages.Step]:
    keys = {} if model is None else {"train": receipt_of_model(model).key}
    return stages.plan(folder, stages.sources_of(paths), config, given=keys)


def receipt_of_model(model: Path) -> Receipt:
    """The receipt of a trained model.

    Raises:
        StoreError: if the folder holds no finished model.
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
    """Run the flow `process` for one recording."""
    folder = stages.folder_of(paths, out, name)

    def flow() -> None:
        from flows.process import process

        process([str(path) for path in paths], str(out), config, name, model and str(model))

    def is_done() -> bool:
        return all(step.current for step in _plan(folder, paths, config, model))

    with progress_display(console) as listener:
        with_server(flow, is_done, listener, console=console, verbose=verbose)


def run_many(
    names: Sequence[str],
    out: Path,
    config: ProcessConfig,
    *,
    model: Path | None,
    console: Console,
    verbose: bool = False,
) -> dict[str, str]:
    """Reprocess recordings; returns the error message of each one that failed.

    Raises:
        ServerError: if the Prefect server does not start, or is lost before the work is complete.
    """
    failures: dict[str, str] = {}

    def flow() -> None:
        from flows.reprocess import reprocess

        flow_state = reprocess(
            list(names), str(out), config, model and str(model), return_state=True
        )
        states = flow_state.result(raise_on_failure=False)
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

    with_server(flow, is_done, Lines(console), console=console, verbose=verbose)
    return failures


def with_server(
    flow: Callable[[], None],
    is_done: Callable[[], bool],
    listener: ProgressListener,
    *,
    console: Console,
    verbose: bool,
) -> None:
    """Run a flow, on a temporary server if none is set; losing the server after the work is complete is no error."""
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
                    f"the Prefect server at {address} was lost ({error}); run the same command again to continue"
                ) from error
            console.print("the Prefect server was lost; the results are complete")


def _refuse_another_recording(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse a different file with the name of a finished recording; the same file may have changed."""
    record = read_record(folder)
    recorded = record.get("paths")
    if recorded == [str(path.resolve()) for path in paths]:
        return
    made = store.read_receipt(folder / stages.STAGES["ingest"].output)
    sources = () if made is None else made.sources
    known = record.get("source_sha256") or [source.sha256 for source in sources]
    if known and known != [source.sha256 for source in stages.sources_of(paths)]:
        names = recorded or [source.name for source in sources] or ["unknown"]
        raise StoreError(
            f"{folder} holds the results of another recording ({names[0]}); give --name, or another --out"
        )


def run_stage(stage: str, folder: Path, config: ProcessConfig, *, console: Console) -> Path:
    """Run one stage on the stores of a recording, in this process and without a server; returns its output."""
    inputs = [str(folder / stages.STAGES[name].output) for name in stages.STAGES[stage].inputs]
    _call(stage, [*inputs, config], folder, console=console)
    return folder / stages.STAGES[stage].output


def run_together(
    folders: Sequence[Path], model: Path, config: ProcessConfig, *, console: Console
) -> Path:
    """Train one model on the patches of several recordings, in this process and without a server."""
    patches = [str(folder / stages.STAGES["describe"].output) for folder in folders]
    _call("train", [patches, str(model), config], model, task="train_together", console=console)
    return model


def use_model(model: Path, folder: Path, *, console: Console) -> Path:
    """Copy a trained model into the folder of a recording, if it fits the patches."""
    receipt_of_model(model)
    patches = str(folder / stages.STAGES["describe"].output)
    _call("use_model", [patches, str(model)], folder, console=console)
    return folder / stages.STAGES["train"].output


def run_ingest(
    paths: Sequence[Path],
    folder: Path,
    config: ProcessConfig,
    *,
    any_kind: bool = False,
    console: Console,
) -> Path:
    """Ingest the files of a recording, in this process and without a server; returns the store.

    With `any_kind`, the recording may be of another kind than the configuration.
    """
    paths = stages.in_order(paths, config.ingest.order)
    before_run.refuse_missing(paths)
    with exclusive(folder):
        _refuse_another_recording(folder, paths)
        sources = [str(path) for path in paths]
        _call("ingest", [sources, str(folder), config, None, any_kind], folder, console=console)
    return folder / stages.STAGES["ingest"].output


def _call(
    module: str,
    arguments: Sequence[str | list[str] | ProcessConfig | bool | None],
    folder: Path,
    *,
    task: str = "",
    console: Console,
) -> None:
    """Run a task of a module of `tasks` on a folder; by default the task with the name of the module."""
    server.prepare_environment(verbose=False)
    from importlib import import_module

    run = getattr(import_module(f"tasks.{module}"), task or module)
    if module == "train" and is_follower():  # the first process holds the lock and shows progress
        run.fn(*arguments).result()
    else:
        with (
            exclusive(folder),
            _telling_kept(folder, console),
            progress_display(console) as listener,
            reporting_to(listener),
        ):
            run.fn(*arguments).result()


def described_in(patterns: Sequence[str]) -> list[Path]:
    """Folders of described recordings, without duplicates, in the order of the patterns and by name within one.

    Raises:
        InputError: if a pattern matches nothing, or a folder holds no descriptors.
    """
    output = stages.STAGES["describe"].output
    folders: list[Path] = []
    for pattern in patterns:
        path = as_path(pattern)
        if path.name == versions.FOLDER and not (path / output).exists():
            continue  # a * of the shell also matches the folder of versions
        if path.is_dir():
            matches = [path.parent if path.name == output else path]
        else:
            matches = sorted(_folders_with(path / output), key=stages.natural)
        if not matches or store.read_receipt(matches[0] / output) is None:
            raise InputError(
                f"{pattern} holds no {output}; make it with `invae describe` or `invae run`"
            )
        folders += matches
    return list(dict.fromkeys(folders))


def _folders_with(pattern: Path) -> Iterator[Path]:
    """Folders of the paths that match a pattern."""
    if isinstance(pattern, ObjectPath):
        paths = type(pattern)(*pattern.parts[:2]).glob("/".join(pattern.parts[2:]))
    else:
        paths = map(Path, glob(str(pattern)))
    for path in paths:
        yield path.parent


def recording_in(out: Path, name: str | None) -> Path:
    """The folder of the recording for a later stage: `out/name`, the only one in `out`, or `out` itself.

    Raises:
        InputError: if there is no recording, or there are several and no name.
    """
    out, recording = as_path(out), stages.STAGES["ingest"].output
    if name is None and (out / recording).exists():
        return out
    names = [path.parent.name for path in sorted(out.glob(f"*/{recording}"))]
    if name is not None and name in names:
        return out / name
    if name is None and len(names) == 1:
        return out / names[0]
    if not names:
        raise InputError(f"{out} holds no recording; make one with `invae ingest` or `invae run`")
    raise InputError(f"{out} holds {', '.join(names)}; choose one with --name")


def settings_for(folder: Path, config: str | None, changes: Sequence[str]) -> ProcessConfig:
    """The named configuration, or that of the last run of a recording, with changes."""
    from invae.config import named

    if config is None:
        return named.amended(config_of(folder), changes)
    return named.load(config, changes=changes)


def config_of(folder: Path) -> ProcessConfig:
    """The configuration of the last run of a recording.

    Raises:
        ConfigError: if none is recorded, or it is not valid any more.
    """
    values = read_record(folder).get("config")
    if values is None:
        raise ConfigError(f"{folder} records no configuration; give --config")
    from invae.config import named

    try:
        return named.checked(ProcessConfig, values, prefix="config")
    except ConfigError as error:
        raise ConfigError(
            f"{folder} was run with a configuration of another invae version ({error}); give --config"
        ) from error


def is_up_to_date(target: Path, key: str) -> bool:
    """Whether a store has this key.

    Raises:
        StoreError: if the target exists and was not made by invae.
    """
    if target.exists() and not store.is_ours(target):
        raise StoreError(f"{target} exists and was not made by invae; give another --out")
    return store.is_current(target, key)
