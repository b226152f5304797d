"""Results of other settings are kept as a version before a stage replaces them."""

from collections.abc import Mapping
from pathlib import Path

from invae.config import ProcessConfig
from invae.stages import kept, versions
from invae.storage import store
from invae.storage.provenance import Receipt
from tasks.recording_folder import read_record, write_record
from tasks.runs import Job


def keep_replaced(job: Job) -> None:
    """Keep what a job and the stages after it would replace with results of other settings."""
    if job.shared_patches:
        _keep_shared_model(job)
    else:
        keep_results(job.folder, job.stage.name, job.config)


def keep_results(folder: Path, stage: str, config: ProcessConfig | None) -> None:
    """Keep the results in a recording's folder that a stage, and those after it, would replace; with their record."""
    outputs = kept.to_keep(folder, stage, config)
    if outputs:
        write_record(kept.keep(folder, outputs), _record(folder, outputs))


def _record(folder: Path, outputs: Mapping[str, Receipt]) -> dict[str, object]:
    """The record of the kept outputs: of its files, of their settings, and of the stages that made them."""
    record, last = read_record(folder), list(outputs.values())[-1]
    lines = record.get("stages", {})
    names = [name for name, one in outputs.items() if lines.get(name, {}).get("key") == one.key]
    return {
        **record,
        "config": dict(last.config),
        "config_hash": last.config_hash,
        "versions": dict(last.versions),
        "stages": {name: lines[name] for name in names},
    }


def _keep_shared_model(job: Job) -> None:
    """Keep a model of several recordings that was trained on others, or with other settings."""
    old = store.read_receipt(job.target)
    if old is None:
        return
    if old.inputs != job.receipt.inputs or kept.is_of_other_settings(old, job.config):
        store.share(job.target, versions.folder_for(job.target, {"train": old}))
