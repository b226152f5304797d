"""The GPU: one training or embedding at a time on it, and half the batch where its memory does not suffice.

The slot is a concurrency limit of the Prefect server, leased: that of a holder which was killed comes back within a minute.
"""

import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.context import TaskRunContext
from prefect.settings import get_current_settings

from invae.config import ProcessConfig
from invae.errors import MachineError, OutOfMemory
from invae.redaction import redacted
from tasks.devices import follows, team_size
from tasks.runs import Job

if TYPE_CHECKING:
    import torch

LIMIT = "gpu"
"""Name of the concurrency limit; `invae doctor --fix` makes it."""
LEASE_SECONDS = 60
"""After so long the slot of a holder that no longer renews it is free again; Prefect takes no less."""

Section = Literal["training", "embed"]
"""Sections of the configuration with a batch size."""

_alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """The runs inside have a server to themselves: nobody would share the GPU through it, so there is no slot to hold."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def slot(device: str) -> Iterator[None]:
    """Hold the GPU's slot on the Prefect server; on another device, or without a shared server, there is none.

    Args:
        device: Type of the device, such as `cuda`.

    Raises:
        MachineError: If the server has no such limit, or does not answer.
    """
    if device != "cuda" or _alone.get() or TaskRunContext.get() is None:
        yield
        return
    try:
        with concurrency(
            LIMIT,
            occupy=1,
            strict=True,
            lease_duration=LEASE_SECONDS,
            raise_on_lease_renewal_failure=False,
        ):
            yield
    except ConcurrencySlotAcquisitionError as error:
        raise MachineError(_without_slot(error)) from error


def _without_slot(error: ConcurrencySlotAcquisitionError) -> str:
    server = redacted(get_current_settings().api.url or "")
    if error.__cause__ is not None:
        return f"the GPU's slot cannot be had: {server} does not answer; look with `invae doctor`"
    return (
        f"{server} has no concurrency limit {LIMIT!r}, so several runs would fill the GPU at once; "
        "make it with `invae doctor --fix`"
    )


@contextmanager
def fitted(asked: Job, *, section: Section) -> Iterator[Job]:
    """The job as the device's memory allows it, with the GPU's slot held: half the batch after every refusal.

    Values depend on the batch. So the smaller one is in the receipt's configuration and in its key, the key that was
    asked for stands beside it, and the run's record has both sizes. What was refused is kept beside the output until
    that is made, so that a run that was killed goes on with the same batch. Of several processes that share a training all
    are refused what one of them is refused.

    Args:
        asked: The job with the batch that the configuration asks for.
        section: Where the configuration has it.

    Raises:
        OutOfMemory: If the batch does not fit; the next attempt takes half of it.
        MachineError: If the slot cannot be had.
    """
    import torch

    from invae.training.checkpoint import device_of

    device = device_of(asked.config.compute.device)
    job = _allowed(asked, section, device)
    with slot(device.type):
        began = time.monotonic()
        try:
            yield job
        except torch.OutOfMemoryError as error:
            # the frames hold what filled the memory, and the error lives on in the state of the attempt
            traceback.clear_frames(error.__traceback__)
            _refuse(asked, job, section, device)
        if device.type == "cuda":
            job.remarks["device"] = _name(device)
            job.remarks["gpu_seconds"] = round(time.monotonic() - began, 3)
    if not follows():
        _note_of(asked).unlink(missing_ok=True)


def _allowed(asked: Job, section: Section, device: "torch.device") -> Job:
    """The job with the batch that this device has not refused yet."""
    try:
        note = json.loads(_note_of(asked).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return asked
    if (note["asked"], note["device"]) != (asked.receipt.key, _where(device)):
        return asked
    config = _with_batch(asked.config, section, note["batch_size"])
    job = asked.under(config)
    job.remarks |= {
        "batch_size": note["batch_size"],
        "batch_size_asked": getattr(asked.config, section).batch_size,
    }
    return job


def _with_batch(config: ProcessConfig, section: Section, size: int) -> ProcessConfig:
    settings = getattr(config, section).model_copy(update={"batch_size": size})
    return config.model_copy(update={section: settings})


def _refuse(asked: Job, job: Job, section: Section, device: "torch.device") -> NoReturn:
    """Note that the batch did not fit, and end the attempt."""
    size: int = getattr(job.config, section).batch_size
    smaller = max(1, size // 2)
    note = {"asked": asked.receipt.key, "device": _where(device), "batch_size": smaller}
    # every process of a training writes the same, and may be ended on the way when another one has ended
    written = _note_of(asked).with_suffix(f".{os.getpid()}.json")
    written.write_text(json.dumps(note))
    written.replace(_note_of(asked))
    raise OutOfMemory(
        f"{job.target}: a batch of {size} does not fit into the memory of {_where(device)}; "
        f"the next attempt takes {section}.batch_size={smaller}"
    )


def _note_of(job: Job) -> Path:
    """Where it is kept which batch the device refused."""
    return job.folder / f".{job.stage.output}.memory.json"


def _where(device: "torch.device") -> str:
    """What refuses a batch: the device, or all processes of a training, which must take the same one."""
    return _name(device) if team_size() == 1 else f"one of {team_size()} processes"


def _name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
