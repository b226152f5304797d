"""What all stages share: names of runs, which failures are retried, when a stage is unchanged, and the record of a run."""

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run, task_run
from prefect.states import Completed

from invae.config import ProcessConfig
from invae.errors import (
    Damaged,
    InputError,
    InvaeError,
    MachineError,
    NoRoom,
    NotWritable,
    OutOfMemory,
    StoreError,
)
from invae.redaction import redacted
from invae.stages import stages
from invae.storage import manifest, store
from invae.storage.location import as_path
from invae.storage.provenance import Receipt, now
from tasks import interrupts
from tasks.artifacts import LiveProgress, flow_run_id, key_of, seconds_spent
from tasks.devices import is_follower, machine
from tasks.failures import is_caused_by_machine
from tasks.progress import NoListener, listener
from tasks.recording_folder import read_record, write_record

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 4
RETRY_SECONDS = [2.0, 10.0, 40.0, 160.0]
"""Waits before each retry: a network folder or an object store usually answers again after the second."""
RETRIES_WATCHED = 2
"""Retries when the run has a terminal: its user sees the error instead of waiting, and the same command resumes."""

RECORDING_ERRORS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
CLUSTER = "distributed"
"""Package whose errors report a lost worker or scheduler."""


def is_worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry may succeed: after a failure of the machine, but not of the recording, the settings or the code."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, BaseException) or not is_machine_error(failure):
        return False
    if isinstance(failure, OutOfMemory) or isinstance(listener(), NoListener):
        return True
    return not isinstance(failure, NoRoom | NotWritable) and run.run_count <= RETRIES_WATCHED


def is_machine_error(failure: BaseException) -> bool:
    """Whether memory, disk, network or a worker failed, and not the recording, its settings or the code."""
    if isinstance(failure, InvaeError):
        return isinstance(failure, MachineError) or is_caused_by_machine(failure)
    if isinstance(failure, OSError):
        return not isinstance(failure, RECORDING_ERRORS)
    return isinstance(failure, MemoryError) or type(failure).__module__.startswith(CLUSTER)


RUN_NAMES: Mapping[str, str] = {
    "ingest": "ingest {recording}",
    "describe": "extract patches from {recording}",
    "train": "train a model on {recording}",
    "embed": "encode every site of {recording}",
    "analyse": "analyse {recording}",
    "report": "write the report on {recording}",
}
"""Names of the task runs of the stages, as the UI shows them."""


def run_name(text: str) -> Callable[[], str]:
    """A function that names a task run: `text` with the recording's name in it."""

    def name() -> str:
        return text.format(recording=_recording(task_run.parameters))

    return name


def run_name_of(stage: str, recording: str) -> str:
    """The name of a stage's task run for a recording."""
    return RUN_NAMES[stage].format(recording=recording)


def _recording(parameters: Mapping[str, Any]) -> str:
    """The recording's name: a task's first parameter is its folder or a store in it."""
    if "folder" in parameters:
        return Path(parameters["folder"]).name
    return Path(next(iter(parameters.values()))).parent.name


def process_run_name() -> str:
    """The name of a run of `process`."""
    values = flow_run.parameters
    name = values.get("name")
    return f"process {name or stages.name_of([Path(source) for source in values['sources']])}"


def reprocess_run_name() -> str:
    """The name of a run of `reprocess`."""
    values = flow_run.parameters
    config, names = values["config"], values["recordings"]
    return f"reprocess {len(names)} recordings under {config.name}@{config.version}"


def folder_of(sources: Sequence[str], out: str, name: str | None) -> str:
    """The folder for the stores of a recording."""
    return str(
        stages.folder_of([Path(source) for source in sources], as_path(out), name).absolute()
    )


@dataclass
class Job:
    """One stage of one recording: its output, its receipt and its progress."""

    stage: stages.Stage
    folder: Path
    receipt: Receipt
    config: ProcessConfig
    paths: tuple[Path, ...] = ()
    """The source files, for a stage that reads them."""
    shared_patches: tuple[Path, ...] = ()
    """Descriptor stores of several recordings that one model is trained on; no recording's record mentions such a job."""
    note: str = ""
    """A few words shown with the progress, such as the held-out ELBO."""
    remarks: dict[str, Any] = field(default_factory=dict)
    """Further entries for the stage in the run's record, such as the device and the time on it."""
    _began: float = field(default_factory=time.monotonic)
    _seconds_spent: float = field(default_factory=seconds_spent)

    @property
    def target(self) -> Path:
        """The output: a store or folder."""
        return self.folder / self.stage.output

    @property
    def is_done(self) -> bool:
        """Whether the output exists already, made from the same inputs, settings and code.

        Raises:
            StoreError: if the output's name is taken by something else, which would be overwritten.
        """
        store.recover(self.target)
        if self.target.exists() and not store.is_ours(self.target):
            raise StoreError(
                f"{self.target} was not made by invae; move it away, or give another --out"
            )
        return store.is_current(self.target, self.receipt.key)

    def unchanged(self) -> State[str]:
        """The state of a stage whose output is current; the UI shows it as Cached."""
        listener().end(self.stage.name, None)
        receipt = store.read_receipt(self.target)
        since = receipt.created if receipt else ""
        return Completed(
            name="Cached",
            data=str(self.target),
            message=f"unchanged since {since}; {self.target} is kept",
        )

    def with_config(self, config: ProcessConfig) -> "Job":
        """The same job with other settings; its receipt keeps the key of the requested ones."""
        if self.shared_patches:
            receipt = stages.receipt_of_several(
                self.shared_patches, self.target.name, config, flow_run=flow_run_id()
            )
            receipt = replace(receipt, asked=self.receipt.key)
        else:
            receipt = stages.receipt_of(
                self.stage, self.folder, config, flow_run=flow_run_id(), asked=self.receipt.key
            )
        return replace(self, config=config, receipt=receipt)

    def refuse_replaced_sources(self) -> None:
        """Refuse files that were replaced or changed while they were read; those that did not change are not read again.

        Raises:
            InputError: the content of one is not what the receipt says; what was made of it is removed.
        """
        found = stages.sources_of(self.paths)
        for path, read_now, then in zip(self.paths, found, self.receipt.sources, strict=True):
            if read_now.sha256 != then.sha256:
                store.remove(self.target)
                raise InputError(
                    f"{path} was changed while it was read; run the same command again when it is complete"
                )

    def progress(self) -> Callable[[int, int], None]:
        """Start the stage's progress; the returned function reports it to the terminal and the UI."""
        listener().begin(self.stage.name)
        unit = run_name_of(self.stage.name, self.folder.name)
        live = LiveProgress(key_of(self.folder.name, self.stage.name), unit=unit)

        def tell(done: int, total: int, /) -> None:
            listener().advance(self.stage.name, done, total, self.note)
            live(done, total, self.note)

        return tell

    def finished(self) -> State[str]:
        """The state of a stage that has made its output; adds its entry to the run's record."""
        seconds = time.monotonic() - self._began
        listener().end(self.stage.name, seconds)
        self.remarks["telling_seconds"] = round(seconds_spent() - self._seconds_spent, 3)
        if not self.shared_patches and not is_follower():
            record(self, seconds=seconds)
        return Completed(data=str(self.target), message=f"{self.target} made in {seconds:.1f} s")


def names_damage(stage: Callable[P, R]) -> Callable[P, R]:
    """A stage that says which of the stores it was given is damaged, where a chunk that it read was."""

    @wraps(stage)
    def run(*args: P.args, **options: P.kwargs) -> R:
        try:
            return stage(*args, **options)
        except Damaged:
            single = [value for value in args if isinstance(value, str)]
            several = [text for value in args if isinstance(value, list) for text in value]
            for path in map(as_path, [*single, *several]):
                if path.is_dir():
                    manifest.check_bytes(path)
            raise

    return run


def job_of_sources(
    sources: Sequence[str], folder: str, config: ProcessConfig, *, inside: str | None = None
) -> Job:
    """The ingest job of some files; a link that leaves the folder `inside` is refused."""
    # absolute: the workers of a cluster may run in another folder
    files = [Path(source).absolute() for source in sources]
    paths = stages.in_order(files, config.ingest.order)
    target = as_path(folder).absolute()
    digests = stages.sources_of(paths, inside=None if inside is None else Path(inside))
    receipt = stages.receipt_of_recording(target, digests, config, flow_run=flow_run_id())
    return Job(stages.STAGES["ingest"], target, receipt, config, tuple(paths))


def job_of(name: str, first_input: str, config: ProcessConfig) -> Job:
    """The job of a later stage, in the folder of its first input."""
    interrupts.raise_if_interrupted()
    folder = as_path(first_input).absolute().parent
    stage = stages.STAGES[name]
    receipt = stages.receipt_of(stage, folder, config, flow_run=flow_run_id())
    return Job(stage, folder, receipt, config)


def job_of_several(patches: Sequence[Path], target: Path, config: ProcessConfig) -> Job:
    """The job of training one model on several descriptor stores."""
    interrupts.raise_if_interrupted()
    stage = replace(stages.STAGES["train"], output=target.name)
    receipt = stages.receipt_of_several(patches, target.name, config, flow_run=flow_run_id())
    return Job(stage, target.parent, receipt, config, shared_patches=tuple(patches))


def record(job: Job, *, seconds: float) -> None:
    """Add a stage's entry to `run.json`, the record of which stages ran, when, for how long and by which command."""
    values = read_record(job.folder)
    entries = dict(values.get("stages", {}))
    entries[job.stage.name] = {
        "key": job.receipt.key,
        "seconds": round(seconds, 3),
        "finished": now(),
        "machine": machine(),
        "flow_run": job.receipt.flow_run,
        "command": redacted(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        **job.remarks,
    }
    values |= {
        "recording": job.folder.name,
        "sources": [source.name for source in job.receipt.sources],
        "source_sha256": [source.sha256 for source in job.receipt.sources],
        "config": job.receipt.config,
        "config_hash": job.receipt.config_hash,
        "versions": dict(job.receipt.versions),
        "stages": entries,
    }
    if job.paths:
        values["paths"] = [str(path.resolve()) for path in job.paths]
    write_record(job.folder, values)
