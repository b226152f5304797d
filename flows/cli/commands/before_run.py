"""What `invae run` decides, checks and says before anything starts."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from flows.cli.commands.options import DEFAULT_CONFIG, refuse_missing_gpu
from invae.config import ProcessConfig
from invae.errors import InputError
from invae.stages import kept, stages, versions
from invae.storage import store
from invae.storage.location import ObjectPath
from tasks.recording_folder import read_record

if TYPE_CHECKING:
    import xarray as xr

COMPRESSED = 0.1
"""Least size of a stored recording as a share of its files. Counts of few electrons compress about as well as this."""
COMMON = ("ingest.", "training.", "embed.", "report.", "compute.")
"""Sections of the settings that recordings of all kinds have."""


def config_for(
    inputs: Sequence[Path],
    out: Path,
    *,
    name: str | None,
    changes: Sequence[str],
    console: Console,
) -> str:
    """Name of the configuration of a recording's last run, else the usual one for what its files hold, which is printed.

    Raises:
        ConfigError: No configuration suits the recording.
        InputError: A file is missing, broken or no recording.
    """
    from invae.config import named
    from invae.readers.content import picked
    from invae.readers.ingest import opened

    common = [change for change in changes if change.startswith(COMMON)]
    config = named.load(DEFAULT_CONFIG, changes=common).ingest
    paths = stages.in_order(inputs, config.order)
    refuse_missing(paths)
    recorded = (read_record(stages.folder_of(paths, out, name)).get("config") or {}).get("name")
    if recorded in named.available():
        _note(f"configuration {recorded}, as in the last run of {paths[0].name}", console)
        return recorded
    with opened(paths, config) as recording:
        pick = picked(recording, name=paths[0].name)
    _note(pick.sentence, console)
    return pick.config


def note_changed_settings(
    inputs: Sequence[Path],
    out: Path,
    config: ProcessConfig,
    *,
    name: str | None,
    console: Console,
) -> None:
    """Print a note if existing results have other settings under the same name and version."""
    paths = stages.in_order(inputs, config.ingest.order)
    folder = stages.folder_of(paths, out, name)
    recorded = read_record(folder).get("config") or {}
    if (recorded.get("name"), recorded.get("version")) != (config.name, config.version):
        return
    current = config.model_dump(mode="json", exclude={"description", "compute"})
    differing = sorted(kept.differing(recorded, current))
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        _note(
            f"{folder} was made with other settings of {config.name}@{config.version} "
            f"({', '.join(differing[:3])}{more}): by --set, or because the configuration was changed "
            "without a new version",
            console,
        )


def _note(words: str, console: Console) -> None:
    console.print(f"note: {words}", markup=False, highlight=False, soft_wrap=True)


def check(
    paths: Sequence[Path],
    folder: Path,
    config: ProcessConfig,
    *,
    due: Sequence[str],
    console: Console,
) -> None:
    """Refuse what cannot work, before a server starts, which takes seconds; then say how long the run may take.

    Args:
        paths: Files of the recording.
        folder: Its folder.
        config: Settings of all stages.
        due: Stages that have to run.
        console: For the time.

    Raises:
        ConfigError: The device is missing, or the recording is of another kind than the configuration.
        InputError: A file is broken, or no reader reads it, or there is no space for the recording.
    """
    from flows.cli.commands.expected_time import expected_time

    if config.compute.device == "cuda":
        refuse_missing_gpu("compute.device=cuda")
    recording = _readable(paths, folder, config)
    n_bytes = sum(source.n_bytes for source in stages.sources_of(paths))
    if "ingest" in due:
        _refuse_full_disk(folder, n_bytes)
    _note(f"expected time: {expected_time(folder, config, due, recording, n_bytes)}", console)


def _refuse_full_disk(folder: Path, n_bytes: int) -> None:
    """Refuse a disk that cannot hold the recording, even well compressed.

    Raises:
        InputError: There is too little space.
    """
    if isinstance(folder, ObjectPath):
        return
    place = next(parent for parent in folder.absolute().parents if parent.is_dir())
    free = shutil.disk_usage(place).free
    if free < COMPRESSED * n_bytes:
        raise InputError(
            f"{place} has {free / 1e9:.3g} GB of free space, and the recording has {n_bytes / 1e9:.3g} GB; "
            "free some space, or give another --out"
        )


def ask_to_replace(folder: Path, config: ProcessConfig, due: Sequence[str]) -> None:
    """Ask a person in the terminal whether to replace a finished result; a script goes on without a question.

    Raises:
        Abort: The answer is no.
    """
    receipt = store.read_receipt(folder / stages.STAGES["analyse"].output)
    if receipt is None or "analyse" not in due or not sys.stdin.isatty():
        return
    made = f"{receipt.config.get('name')}@{receipt.config.get('version')}"
    is_kept = bool(kept.to_keep(folder, due[0], config))
    fate = f"It stays in {versions.FOLDER}/" if is_kept else "It was made by other code"
    typer.confirm(
        f"{folder} holds a finished result of {made} ({receipt.created[:10]}). {fate}. Replace it?",
        abort=True,
        err=True,
    )


def refuse_missing(paths: Sequence[Path]) -> None:
    """Refuse files that do not exist.

    Raises:
        InputError: There is one.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path")


def _readable(paths: Sequence[Path], folder: Path, config: ProcessConfig) -> Mapping[str, int]:
    """Sizes of a recording along its dimensions, after a look at files that are not stored yet.

    Raises:
        ConfigError: The recording is of another kind than the configuration.
        InputError: A file is broken, or no reader reads it.
    """
    from invae.readers.content import refuse_other_kind
    from invae.readers.ingest import opened

    stored = folder / stages.STAGES["ingest"].output
    if store.is_ours(stored):
        whole = store.read_receipt(stored) is not None
        return _sizes(store.open_store(stored)) if whole else {}
    with opened(paths, config.ingest) as recording:
        refuse_other_kind(recording, config, name=str(paths[0]))
        return _sizes(recording)


def _sizes(recording: "xr.Dataset") -> Mapping[str, int]:
    return {str(name): size for name, size in recording.sizes.items()}
