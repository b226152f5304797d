"""One recording in one table, at the end of its run."""

from typing import Any

from invae.stages import stages
from invae.storage.location import as_path
from tasks import artifacts
from tasks.progress import duration
from tasks.recording_folder import read_record
from tasks.runs import sentence_of


def show_recording(folder: str) -> None:
    """What was made of a recording, out of what and how long it took; a run that made nothing has said it all before."""
    here = as_path(folder)
    record = read_record(here)
    made = record.get("stages", {})
    this_run = artifacts.flow_run_id()
    if not this_run or all(stage.get("flow_run") != this_run for stage in made.values()):
        return
    artifacts.show_table(
        artifacts.key_of(here.name, "recording"),
        rows_of(here.name, record, this_run=this_run),
        description=f"{here.name}: what was made of it, and how long it took",
    )


def rows_of(name: str, record: dict[str, Any], *, this_run: str) -> list[dict[str, str]]:
    """The table: sources, configuration, a line for every stage, and what memory did not allow."""
    config, made = record.get("config", {}), record.get("stages", {})
    return [
        {"what": "made from", "value": ", ".join(record.get("sources", []))},
        {"what": "configuration", "value": f"{config.get('name')}@{config.get('version')}"},
        *(
            {"what": sentence_of(stage, name), "value": _told(made[stage], this_run)}
            for stage in stages.STAGES
            if stage in made
        ),
    ]


def _told(stage: dict[str, Any], this_run: str) -> str:
    words = duration(float(stage["seconds"]))
    if stage.get("flow_run") != this_run:
        words = f"kept, made {stage['finished']}"
    if "gpu_seconds" in stage:
        words += f", on {stage['device']}"
    if "batch_size" in stage:
        words += f", with batches of {stage['batch_size']} (asked for {stage['batch_size_asked']})"
    return words
