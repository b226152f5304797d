"""The plan of a version of a recording's results, from its record and its receipts, without Prefect."""

from pathlib import Path

from invae.config import ProcessConfig
from invae.stages import versions
from invae.storage.location import as_path
from tasks.recording_folder import read_record


def plan_of(
    recording: str, out: str, config: ProcessConfig, *, model: str | None = None
) -> versions.Plan:
    """The stages that a recording needs under a configuration, and the outputs that exist."""
    return versions.plan(
        as_path(out),
        recording,
        config,
        files=files_of(recording, out),
        model=None if model is None else as_path(model),
    )


def files_of(recording: str, out: str) -> list[Path]:
    """The source files of a recording according to its record; they need not exist any more."""
    return [Path(path) for path in read_record(as_path(out) / recording).get("paths", [])]
