"""The GPU: one training or embedding at a time, and half the batch if its memory does not suffice.

The slot is a leased concurrency limit of the Prefect server: the slot of a killed holder is free again within a minute.
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
from invae.storage.json_text import parsed
from tasks.devices import is_follower, n_processes
from tasks.runs import Job

if TYPE_CHECKING:
    import torch

LIMIT = "gpu"
"""Name of the concurrency limit; `invae doctor --fix` creates it."""
LEASE_SECONDS = 60
"""A slot that its holder does not renew is free after this time; the shortest that Prefect accepts."""

Section = Literal["training", "embed"]
"""Sections of the configuration with a batch size."""

_private_server: ContextVar[bool] = ContextVar("private_server", default=False)


@contextmanager
def without_shared_server() -> Iterator[None]:
    """The runs inside have a server of their own; nobody shares the GPU through it, so they hold no slot."""
    token = _private_server.set(True)
    try:
        yield
    finally:
        _private_server.reset(token)


def has_private_server() -> bool:
    """Whether the server ends with this run, so that nobody shares anything through it."""
    return _private_server.get()


@contextmanager
def hold_slot(device: str) -> Iterator[None]:
    """Hold the GPU's slot on the Prefect server; does nothing for other devices, or without a shared server.

    Args:
        device: Type of the device, such as `cuda`.

    Raises:
        MachineError: If the server has no such limit, or does not answer.
    """
    if device != "cuda" or _private_server.get() or TaskRunContext.get() is None:
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
        return (
            f"the GPU's slot is not available: {server} does not answer; check with `invae doctor`"
        )
    return (
        f"{server} has no concurrency limit {LIMIT!r}, so several runs would fill the GPU at once; "
        "create it with `invae doctor --fix`"
    )


@contextmanager
def with_batch_that_fits(requested: Job, *, section: Section) -> Iterator[Job]:
    """Hold the GPU's slot; the job inside has half the requested batch after every failure for lack of memory.

    Values depend on the batch size. So the receipt's configuration and key contain the smaller size, the receipt also
    contains the requested key, and the run's record has both sizes. A file next to the output keeps the smaller size until
    the output is finished, so that a killed run resumes with the same batch. Processes that share a training all reduce the
    batch when one of them runs out of memory.

    Args:
        requested: The job with the batch size of the configuration.
        section: Section of the configuration with the batch size.

    Raises:
        OutOfMemory: If the batch does not fit; the next attempt takes half of it.
        MachineError: If the slot is not available.
    """
    import torch

    from invae.training.device import device_of

    device = device_of(requested.config.compute.device)
    job = _reduced(requested, section, device)
    with hold_slot(device.type):
        began = time.monotonic()
        try:
            yield job
        except torch.OutOfMemoryError as error:
            # the frames hold the tensors that filled the memory, and the error stays in the state of the attempt
            traceback.clear_frames(error.__traceback__)
            _reduce_batch(requested, job, section, device)
        if device.type == "cuda":
            job.remarks["device"] = _name(device)
            job.remarks["gpu_seconds"] = round(time.monotonic() - began, 3)
    if not is_follower():
        _note_path(requested).unlink(missing_ok=True)


def _reduced(requested: Job, section: Section, device: "torch.device") -> Job:
    """The job with the batch size that earlier attempts on this device left."""
    try:
        note = parsed(_note_path(requested).read_text())
    except (FileNotFoundError, ValueError):
        return requested
    if (note["asked"], note["device"]) != (requested.receipt.key, _where(device)):
        return requested
    config = _with_batch(requested.config, section, note["batch_size"])
    job = requested.with_config(config)
    job.remarks |= {
        "batch_size": note["batch_size"],
        "batch_size_asked": getattr(requested.config, section).batch_size,
    }
    return job


def _with_batch(config: ProcessConfig, section: Section, size: int) -> ProcessConfig:
    settings = getattr(config, section).model_copy(update={"batch_size": size})
    return config.model_copy(update={section: settings})


def _reduce_batch(requested: Job, job: Job, section: Section, device: "torch.device") -> NoReturn:
    """Write down half the batch size for the next attempt, and end this one."""
    size: int = getattr(job.config, section).batch_size
    smaller = max(1, size // 2)
    note = {"asked": requested.receipt.key, "device": _where(device), "batch_size": smaller}
    # every process of a training writes the same note, and may be ended while writing when another one has ended
    partial = _note_path(requested).with_suffix(f".{os.getpid()}.json")
    partial.write_text(json.dumps(note))
    partial.replace(_note_path(requested))
    raise OutOfMemory(
        f"{job.target}: a batch of {size} does not fit into the memory of {_where(device)}; "
        f"the next attempt takes {section}.batch_size={smaller}"
    )


def _note_path(job: Job) -> Path:
    """The file with the reduced batch size."""
    return job.folder / f".{job.stage.output}.memory.json"


def _where(device: "torch.device") -> str:
    """Where a batch did not fit: the device, or all processes of a training, which must take the same batch."""
    return _name(device) if n_processes() == 1 else f"one of {n_processes()} processes"


def _name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
