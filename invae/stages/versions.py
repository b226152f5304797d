"""Versions of a recording's results, and which outputs one version reuses from another.

`<out>/<recording>/` is the version that `invae run` made last; others lie in `<out>/versions/<NAME@VERSION-digest>/<recording>/`.
Each is a complete folder of a recording. Outputs that two versions share are links to the same files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from invae.config import ProcessConfig
from invae.config.kinds import kind_of
from invae.config.model_kinds import model_kind_of
from invae.errors import InputError, StoreError
from invae.stages import stages
from invae.storage import provenance, store
from invae.storage.provenance import Receipt

FOLDER = "versions"
DIGITS = 8
"""Digits of a digest in names and tables."""


@dataclass(frozen=True)
class Plan:
    """The stages that a recording needs under a configuration."""

    recording: str
    folder: Path
    """Folder of the version: an existing one, if it has all outputs."""
    keys: Mapping[str, str]
    """Keys of the outputs, by stage."""
    held: Mapping[str, Path]
    """Outputs that exist under their key in any version, by stage."""
    notes: tuple[str, ...] = ()

    @property
    def made(self) -> list[str]:
        """Stages that must run."""
        return [name for name in self.keys if name not in self.held]

    @property
    def is_done(self) -> bool:
        """Whether the folder has all outputs."""
        return all(
            store.is_current(self.folder / stages.STAGES[name].output, key)
            for name, key in self.keys.items()
        )


def label_of(config: ProcessConfig, *, model_key: str = "") -> str:
    """Name of the version of a configuration: its name and version, and a digest of its settings and of the code."""
    kind, model = kind_of(config.describe), model_kind_of(config.model)
    code = [stages.code_of(stage, kind=kind, model=model) for stage in stages.STAGES.values()]
    digest = provenance.digest_json([stages.config_hash(config), *code, model_key])
    return f"{config.name}@{stages.safe_name(config.version)}-{digest[:DIGITS]}"


def folder_for(folder: Path, outputs: Mapping[str, Receipt]) -> Path:
    """Folder of the version that some outputs of a recording are, named by the settings of the last one and by all keys."""
    config = list(outputs.values())[-1].config
    digest = provenance.digest_json([receipt.key for receipt in outputs.values()])[:DIGITS]
    name, version = (
        stages.safe_name(str(config.get(key, "unknown"))) for key in ("name", "version")
    )
    return folder.parent / FOLDER / f"{name}@{version}-{digest}" / folder.name


def recordings_in(out: Path) -> list[str]:
    """Names of the ingested recordings, in order."""
    output = stages.STAGES["ingest"].output
    if not out.is_dir():
        return []
    folders = [path for path in out.iterdir() if not path.name.startswith(".") and path.is_dir()]
    ingested = [path for path in folders if store.read_receipt(path / output) is not None]
    return [path.name for path in sorted(ingested, key=stages.natural)]


def matching(names: Sequence[str], patterns: Sequence[str], *, out: Path) -> list[str]:
    """The names that match one of the patterns, in their order.

    Raises:
        InputError: if a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            first = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            raise InputError(f"{out} holds no recording {pattern!r}; it has {first or 'none'}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def date_of(folder: Path) -> datetime:
    """When a recording was acquired; if its file has no date, when it was ingested."""
    path = folder / stages.STAGES["ingest"].output
    acquired = store.open_store(path).attrs.get("acquired")
    receipt = _finished(path)
    return datetime.fromisoformat(acquired or receipt.created).replace(tzinfo=None)


def plan(
    out: Path,
    recording: str,
    config: ProcessConfig,
    *,
    files: Sequence[Path],
    model: Path | None = None,
) -> Plan:
    """The stages that a recording needs under a configuration, and the outputs that exist already.

    Args:
        out: the folder of all recordings.
        recording: its name.
        config: settings of all stages.
        files: its source files, if known; they need not exist any more.
        model: a model to use instead of training one.

    Raises:
        StoreError: if the recording was never ingested.
        InputError: if it must be ingested with other settings, and its files are missing.
    """
    folders = folders_of(out, recording)
    ingested = _finished(folders[0] / stages.STAGES["ingest"].output)
    given = {} if model is None else {"train": _finished(model).key}
    keys, held = stages.find(folders, ingested.sources, config, given=given)
    notes: tuple[str, ...] = ()
    if "ingest" not in held and not _all_exist(files):
        _refuse_other_settings(recording, ingested, config, files)
        given["ingest"] = ingested.key
        keys, held = stages.find(folders, [], config, given=given)
        notes = (f"{recording}: its source files are missing; the existing recording.zarr is used",)
    if model is not None:
        held.setdefault("train", model)
    all_here = all(held.get(name) == folders[0] / stages.STAGES[name].output for name in keys)
    folder = folders[0] if all_here else _version_folder(out, config, given) / recording
    return Plan(recording, folder, keys, held, notes)


def folders_of(out: Path, recording: str) -> list[Path]:
    """Folders of all versions of a recording, first the one that `invae run` made."""
    versions = out / FOLDER
    others = sorted(versions.iterdir()) if versions.is_dir() else []
    return [out / recording, *(path / recording for path in others)]


def _version_folder(out: Path, config: ProcessConfig, given: Mapping[str, str]) -> Path:
    return out / FOLDER / label_of(config, model_key=given.get("train", ""))


def _all_exist(files: Sequence[Path]) -> bool:
    return bool(files) and all(file.exists() for file in files)


def _refuse_other_settings(
    recording: str, ingested: Receipt, config: ProcessConfig, files: Sequence[Path]
) -> None:
    sections = stages.STAGES["ingest"].sections
    wanted = stages.settings_of(config, sections)
    differing = [
        f"{section}.{key}"
        for section in sections
        for key, value in dict(wanted[section]).items()  # type: ignore[call-overload]
        if ingested.config.get(section, {}).get(key, value) != value
    ]
    if differing:
        missing = next((str(file) for file in files if not file.exists()), "its files")
        raise InputError(
            f"{recording}: {', '.join(differing)} changed, which needs its source files, and {missing} "
            "is missing; restore it, or keep these settings"
        )


def _finished(path: Path) -> Receipt:
    receipt = store.read_receipt(path)
    if receipt is None:
        raise StoreError(f"{path} is missing or unfinished; make it with `invae run`")
    return receipt
