"""A table of one recording, at the end of its run."""

from typing import Any

from invae.stages import stages
from invae.storage.location import as_path
from tasks import artifacts
from tasks.progress import duration
from tasks.recording_folder import read_record
from tasks.runs import run_name_of


def show_recording(folder: str) -> None:
    """Show a recording's sources and stages and their times; no table if this run made nothing."""
    path = as_path(folder)
    record = read_record(path)
    stages_made = record.get("stages", {})
    this_run = artifacts.flow_run_id()
    if not this_run or all(stage.get("flow_run") != this_run for stage in stages_made.values()):
        return
    artifacts.show_table(
        artifacts.key_of(path.name, "recording"),
        rows_of(path.name, record, this_run=this_run),
        description=f"{path.name}: stages and times",
    )


def rows_of(name: str, record: dict[str, Any], *, this_run: str) -> list[dict[str, str]]:
    """The rows of the table: sources, configuration, and every stage with its time and its batch size."""
    config, entries = record.get("config", {}), record.get("stages", {})
    return [
        {"what": "source", "value": ", ".join(record.get("sources", []))},
        {"what": "configuration", "value": f"{config.get('name')}@{config.get('version')}"},
        *(
            {"what": run_name_of(stage, name), "value": _summary(entries[stage], this_run)}
            for stage in stages.STAGES
            if stage in entries
        ),
    ]


def _summary(stage: dict[str, Any], this_run: str) -> str:
    words = duration(float(stage["seconds"]))
    if stage.get("flow_run") != this_run:
        words = f"unchanged since {stage['finished']}"
    if "gpu_seconds" in stage:
        words += f", on {stage['device']}"
    if "batch_size" in stage:
        words += f", batch size {stage['batch_size']} instead of {stage['batch_size_asked']}"
    return words
