"""What a version of a recording's results needs, from its record and its receipts; asked without Prefect."""

from pathlib import Path

from invae.config import ProcessConfig
from invae.stages import versions
from invae.storage.location import as_path
from tasks.recording_folder import read_record


def plan_of(
    recording: str, out: str, config: ProcessConfig, *, model: str | None = None
) -> versions.Plan:
    """What a recording needs to be had under a configuration."""
    return versions.plan(
        as_path(out),
        recording,
        config,
        files=files_of(recording, out),
        model=None if model is None else as_path(model),
    )


def files_of(recording: str, out: str) -> list[Path]:
    """The files that a recording was taken in from, as its record says; they need not be there any more."""
    return [Path(path) for path in read_record(as_path(out) / recording).get("paths", [])]
