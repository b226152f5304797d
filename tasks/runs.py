"""Decided once for all stages: names of runs, what is retried, when there is nothing to do, and what is recorded."""

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run, task_run
from prefect.states import Completed

from invae.config import ProcessConfig
from invae.errors import InvaeError, MachineError, NoRoom, NotWritable, OutOfMemory, StoreError
from invae.redaction import redacted
from invae.stages import stages
from invae.storage import store
from invae.storage.location import as_path
from invae.storage.provenance import Receipt, now
from tasks import interrupts
from tasks.artifacts import LiveProgress, flow_run_id, key_of, telling_seconds
from tasks.devices import follows, machine
from tasks.progress import Nobody, audience
from tasks.recording_folder import read_record, write_record

RETRIES = 4
RETRY_SECONDS = [2.0, 10.0, 40.0, 160.0]
"""Waits before a repeated attempt: a network folder or an object store is usually back after the second."""
RETRIES_WATCHED = 2
"""Somebody at a terminal is told rather than kept waiting; the same command goes on."""

OF_THE_RECORDING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
CLUSTER = "distributed"
"""Package whose errors say that workers or the scheduler are gone."""


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """What failed of the machine may work the next time; a bad recording, a bad setting or a bug will not."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, BaseException) or not is_of_the_machine(failure):
        return False
    if isinstance(failure, OutOfMemory) or isinstance(audience(), Nobody):
        return True
    return not isinstance(failure, NoRoom | NotWritable) and run.run_count <= RETRIES_WATCHED


def is_of_the_machine(failure: BaseException) -> bool:
    """Whether memory, disk, network or a worker failed, and not the recording, its settings or the code."""
    if isinstance(failure, InvaeError):
        return isinstance(failure, MachineError)
    if isinstance(failure, OSError):
        return not isinstance(failure, OF_THE_RECORDING)
    return isinstance(failure, MemoryError) or type(failure).__module__.startswith(CLUSTER)


SENTENCES: Mapping[str, str] = {
    "ingest": "take in {recording}",
    "describe": "cut patches out of {recording}",
    "train": "train a model on {recording}",
    "embed": "encode every site of {recording}",
    "analyse": "sort and map what was found in {recording}",
    "report": "write the report on {recording}",
}
"""What every stage does, as the UI names it."""


def sentence(text: str) -> Callable[[], str]:
    """The name of a task run: `text` with the recording's name in it."""

    def name() -> str:
        return text.format(recording=_recording(task_run.parameters))

    return name


def sentence_of(stage: str, recording: str) -> str:
    """What a stage does with a recording."""
    return SENTENCES[stage].format(recording=recording)


def _recording(parameters: Mapping[str, Any]) -> str:
    """The recording's name: tasks are given its folder, or one of the stores in it."""
    if "folder" in parameters:
        return Path(parameters["folder"]).name
    return Path(next(iter(parameters.values()))).parent.name


def flow_sentence() -> str:
    """The name of a run of `process`."""
    values = flow_run.parameters
    name = values.get("name")
    return f"process {name or stages.name_of([Path(source) for source in values['sources']])}"


def reprocess_sentence() -> str:
    """The name of a run of `reprocess`."""
    values = flow_run.parameters
    config, names = values["config"], values["recordings"]
    return f"reprocess {len(names)} recordings under {config.name}@{config.version}"


def folder_of(sources: Sequence[str], out: str, name: str | None) -> str:
    """Where the stores of a recording go."""
    return str(
        stages.folder_of([Path(source) for source in sources], as_path(out), name).absolute()
    )


@dataclass
class Job:
    """One stage of one recording: what it makes, under which receipt, and who is told."""

    stage: stages.Stage
    folder: Path
    receipt: Receipt
    config: ProcessConfig
    paths: tuple[Path, ...] = ()
    """The sources, where the stage reads them."""
    together: tuple[Path, ...] = ()
    """Stores of the recordings that one model is trained on; it belongs to none of them, nor to their records."""
    note: str = ""
    """A few words that go with the progress, such as the held-out ELBO."""
    remarks: dict[str, Any] = field(default_factory=dict)
    """What else the run's record says of the stage, such as the device and the time on it."""
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=telling_seconds)

    @property
    def target(self) -> Path:
        """The store or folder that the stage makes."""
        return self.folder / self.stage.output

    @property
    def is_done(self) -> bool:
        """Whether it is there already, made from the same inputs, settings and code.

        Raises:
            StoreError: if something else is in its place, which would be lost.
        """
        if self.target.exists() and store.read_receipt(self.target) is None:
            raise StoreError(
                f"{self.target} was not made by invae; move it away, or give another --out"
            )
        return store.is_current(self.target, self.receipt.key)

    def unchanged(self) -> State[str]:
        """The state of a stage that has nothing to do; the UI shows it as Cached."""
        audience().end(self.stage.name, None)
        made = store.read_receipt(self.target)
        since = made.created if made else ""
        return Completed(
            name="Cached",
            data=str(self.target),
            message=f"nothing has changed since {since}; {self.target} was kept",
        )

    def under(self, config: ProcessConfig) -> "Job":
        """The same job under other settings than were asked for."""
        if self.together:
            receipt = stages.receipt_of_several(
                self.together, self.target.name, config, flow_run=flow_run_id()
            )
            receipt = replace(receipt, asked=self.receipt.key)
        else:
            receipt = stages.receipt_of(
                self.stage, self.folder, config, flow_run=flow_run_id(), asked=self.receipt.key
            )
        return replace(self, config=config, receipt=receipt)

    def progress(self) -> Callable[[int, int], None]:
        """Tells the terminal and the UI how far the stage is."""
        audience().begin(self.stage.name)
        unit = sentence_of(self.stage.name, self.folder.name)
        live = LiveProgress(key_of(self.folder.name, self.stage.name), unit=unit)

        def tell(done: int, total: int, /) -> None:
            audience().move(self.stage.name, done, total, self.note)
            live(done, total, self.note)

        return tell

    def finished(self) -> State[str]:
        """The state of a stage that has made its output; the run's record gets its line."""
        seconds = time.monotonic() - self._began
        audience().end(self.stage.name, seconds)
        self.remarks["telling_seconds"] = round(telling_seconds() - self._told, 3)
        if not self.together and not follows():
            record(self, seconds=seconds)
        return Completed(data=str(self.target), message=f"{self.target} made in {seconds:.1f} s")


def job_of_sources(sources: Sequence[str], folder: str, config: ProcessConfig) -> Job:
    """The ingest job of some files."""
    # absolute: the workers of a cluster may stand in another folder
    given = [Path(source).absolute() for source in sources]
    paths = stages.in_order(given, config.ingest.order)
    where = as_path(folder).absolute()
    receipt = stages.receipt_of_recording(
        where, stages.sources_of(paths), config, flow_run=flow_run_id()
    )
    return Job(stages.STAGES["ingest"], where, receipt, config, tuple(paths))


def job_of(stage: str, first_input: str, config: ProcessConfig) -> Job:
    """The job of a later stage, beside the store that it reads first."""
    interrupts.obey()
    folder = as_path(first_input).absolute().parent
    found = stages.STAGES[stage]
    receipt = stages.receipt_of(found, folder, config, flow_run=flow_run_id())
    return Job(found, folder, receipt, config)


def job_of_several(patches: Sequence[Path], target: Path, config: ProcessConfig) -> Job:
    """The job of training one model on several descriptor stores."""
    interrupts.obey()
    stage = replace(stages.STAGES["train"], output=target.name)
    receipt = stages.receipt_of_several(patches, target.name, config, flow_run=flow_run_id())
    return Job(stage, target.parent, receipt, config, together=tuple(patches))


def record(job: Job, *, seconds: float) -> None:
    """Write the line of a stage into `run.json`, the record of what ran, when, for how long and by which command."""
    values = read_record(job.folder)
    made = dict(values.get("stages", {}))
    made[job.stage.name] = {
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
        "stages": made,
    }
    if job.paths:
        values["paths"] = [str(path.resolve()) for path in job.paths]
    write_record(job.folder, values)
