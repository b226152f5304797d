"""Versions of a recording's results, side by side, and what one takes over from another.

`<out>/<recording>/` is the version that `invae run` made; others lie in `<out>/versions/<NAME@VERSION-digest>/<recording>/`,
each a whole folder of a recording that opens like any other. What two versions have in common is one set of files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from invae.config import ProcessConfig
from invae.config.kinds import kind_of
from invae.errors import InputError, StoreError
from invae.stages import stages
from invae.storage import provenance, store
from invae.storage.provenance import Receipt

FOLDER = "versions"
DIGITS = 8
"""Of a digest, in names and tables."""


@dataclass(frozen=True)
class Plan:
    """What one recording needs to be had under a configuration."""

    recording: str
    folder: Path
    """Where it will be: where it is, if all of it is there."""
    keys: Mapping[str, str]
    """Of every stage's output."""
    held: Mapping[str, Path]
    """Outputs that are there already under their key, wherever, by stage."""
    notes: tuple[str, ...] = ()

    @property
    def made(self) -> list[str]:
        """Stages that have to run."""
        return [name for name in self.keys if name not in self.held]

    @property
    def is_done(self) -> bool:
        """Whether all of it is in its folder."""
        return all(
            store.is_current(self.folder / stages.STAGES[name].output, key)
            for name, key in self.keys.items()
        )


def label_of(config: ProcessConfig, *, model_key: str = "") -> str:
    """Name of the version that a configuration makes: its name and version, and what its settings and the code come to."""
    kind = kind_of(config.describe)
    code = [stages.code_of(stage, kind=kind) for stage in stages.STAGES.values()]
    digest = provenance.digest_json([stages.config_hash(config), *code, model_key])
    return f"{config.name}@{stages.safe_name(config.version)}-{digest[:DIGITS]}"


def recordings_in(out: Path) -> list[str]:
    """Names of the recordings that were taken in, in order."""
    output = stages.STAGES["ingest"].output
    if not out.is_dir():
        return []
    found = [path for path in out.iterdir() if not path.name.startswith(".") and path.is_dir()]
    taken_in = [path for path in found if store.read_receipt(path / output) is not None]
    return [path.name for path in sorted(taken_in, key=stages.natural)]


def matching(names: Sequence[str], patterns: Sequence[str], *, out: Path) -> list[str]:
    """The names that fit one of the patterns, in their order.

    Raises:
        InputError: a pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            known = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            raise InputError(f"{out} holds no recording {pattern!r}; it has {known or 'none'}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def taken_on(folder: Path) -> datetime:
    """When a recording was taken, as the instrument says; when it was taken in, where that does not say it."""
    path = folder / stages.STAGES["ingest"].output
    told = store.open_store(path).attrs.get("acquired")
    receipt = _finished(path)
    return datetime.fromisoformat(told or receipt.created).replace(tzinfo=None)


def plan(
    out: Path,
    recording: str,
    config: ProcessConfig,
    *,
    files: Sequence[Path],
    model: Path | None = None,
) -> Plan:
    """What a recording needs to be had under a configuration, and where all that lies which need not be made.

    Args:
        out: the folder of all recordings.
        recording: its name.
        config: what is done in every stage.
        files: where it came from, if that is known; they need not be there any more.
        model: a model from elsewhere, taken instead of training one.

    Raises:
        StoreError: the recording was never taken in.
        InputError: it has to be taken in in another way, and its files are not there.
    """
    places = _places(out, recording)
    taken_in = _finished(places[0] / stages.STAGES["ingest"].output)
    given = {} if model is None else {"train": _finished(model).key}
    keys, held = stages.find(places, taken_in.sources, config, given=given)
    notes: tuple[str, ...] = ()
    if "ingest" not in held and not _all_there(files):
        _refuse_other_settings(recording, taken_in, config, files)
        given["ingest"] = taken_in.key
        keys, held = stages.find(places, [], config, given=given)
        notes = (f"{recording}: its files are gone; what was taken in from them then is kept",)
    if model is not None:
        held.setdefault("train", model)
    all_here = all(held.get(name) == places[0] / stages.STAGES[name].output for name in keys)
    folder = places[0] if all_here else _beside(out, config, given) / recording
    return Plan(recording, folder, keys, held, notes)


def _places(out: Path, recording: str) -> list[Path]:
    """Where versions of a recording lie, the one that `invae run` made first."""
    beside = out / FOLDER
    others = sorted(beside.iterdir()) if beside.is_dir() else []
    return [out / recording, *(path / recording for path in others)]


def _beside(out: Path, config: ProcessConfig, given: Mapping[str, str]) -> Path:
    return out / FOLDER / label_of(config, model_key=given.get("train", ""))


def _all_there(files: Sequence[Path]) -> bool:
    return bool(files) and all(file.exists() for file in files)


def _refuse_other_settings(
    recording: str, taken_in: Receipt, config: ProcessConfig, files: Sequence[Path]
) -> None:
    sections = stages.STAGES["ingest"].sections
    wanted = stages.settings_of(config, sections)
    differing = [
        f"{section}.{key}"
        for section in sections
        for key, value in dict(wanted[section]).items()  # type: ignore[call-overload]
        if taken_in.config.get(section, {}).get(key, value) != value
    ]
    if differing:
        gone = next((str(file) for file in files if not file.exists()), "its files")
        raise InputError(
            f"{recording}: {', '.join(differing)} changed, which needs its files again, and {gone} "
            "is not there; bring it back, or leave these settings"
        )


def _finished(path: Path) -> Receipt:
    receipt = store.read_receipt(path)
    if receipt is None:
        raise StoreError(f"{path} is missing or unfinished; make it with `invae run`")
    return receipt
