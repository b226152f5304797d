"""The stages of a run, without Prefect: what each reads, which settings and code it depends on, its key and receipt.

A key follows from the content of the sources, the settings and the code, before anything is computed. So a run whose outputs all
have their current keys is complete, and this needs no server, cluster or model.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from invae.config import ProcessConfig
from invae.config.kinds import KINDS, Kind, kind_of, recorded_kind
from invae.config.model_kinds import MODEL_KINDS, ModelKind, model_kind_of
from invae.errors import InputError, StoreError
from invae.redaction import holds_secret
from invae.storage import provenance, store
from invae.storage.code_digest import code_digest
from invae.storage.location import as_path
from invae.storage.provenance import Receipt, Source

LONGEST_NAME = 120
"""Of a folder [bytes]."""


@dataclass(frozen=True)
class Stage:
    """One stage: equal inputs, settings and code give equal output."""

    name: str
    output: str
    """Name of its output in the recording's folder."""
    inputs: tuple[str, ...]
    """Stages whose output it reads; the first one also gives the recording's name and sources."""
    sections: tuple[str, ...]
    """Sections of the configuration that it depends on."""
    module: str
    """Module of its function; that of VAEs where kinds of models have functions of their own. The code of the stage is this module,
    or that of the kind of model, the modules that the kind of recording names for the stage, and all that these import."""
    seeded: bool = False

    def module_for(self, model: ModelKind) -> str:
        """Module of its function for a kind of model."""
        return model.module(self.name) or self.module


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", "recording.zarr", (), ("ingest",), "invae.readers.ingest"),
        Stage(
            "describe",
            "descriptors.zarr",
            ("ingest",),
            ("describe",),
            "invae.descriptors.describe",
        ),
        Stage(
            "train",
            "model",
            ("describe",),
            ("model", "training"),
            "invae.training.train",
            seeded=True,
        ),
        Stage(
            "embed",
            "embedding.zarr",
            ("describe", "train"),
            ("embed",),
            "invae.embedding.embed",
        ),
        Stage(
            "analyse",
            "result.zarr",
            ("ingest", "describe", "train", "embed"),
            ("analyse",),
            "invae.analysis.analyse",
            seeded=True,
        ),
        Stage("report", "report", ("analyse",), ("report",), "invae.report"),
    )
}
"""All stages, in the order in which they run."""


@dataclass(frozen=True)
class Step:
    """One stage of a planned run."""

    stage: Stage
    key: str
    current: bool
    """Whether its output exists under this key."""


def in_order(paths: Sequence[Path], order: str) -> list[Path]:
    """The files of a series in order: by name with numbers in numerical order, or as given."""
    return sorted(paths, key=natural) if order == "name" else list(paths)


def natural(path: Path) -> list[str | int]:
    """A key that sorts `scan_2` before `scan_10`."""
    pieces = re.split(r"(\d+)", path.name.lower())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]


def name_of(paths: Sequence[Path]) -> str:
    """The name of a recording: the file's stem, or of a series the first stem and the last number."""
    stems = [path.stem for path in paths]
    if len(stems) == 1:
        return safe_name(stems[0])
    numbers = [re.search(r"\d+$", stem) for stem in stems]
    digits = [match.group() for match in numbers if match]
    if len(digits) < len(stems):
        return safe_name(f"{stems[0]}+{len(stems) - 1}")
    if all(int(second) - int(first) == 1 for first, second in pairwise(digits)):
        return safe_name(f"{stems[0]}-{digits[-1]}")
    return safe_name("+".join([stems[0], *digits[1:]]))


def safe_name(text: str) -> str:
    """The text as the name of a folder: no separators, no leading dot, not too long."""
    name = re.sub(r"[^\w.+-]+", "_", text).strip("._")
    if len(name.encode()) > LONGEST_NAME:  # file systems count bytes: a letter has up to four
        start = name.encode()[: LONGEST_NAME - 9].decode(errors="ignore")
        name = f"{start}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name or "recording"


def folder_of(paths: Sequence[Path], out: Path, name: str | None) -> Path:
    """The folder for the stores of a recording.

    Raises:
        InputError: if there is no source, `name` is not valid for a folder, or an address has a password in it.
    """
    if not paths:
        raise InputError("no recording was given; name at least one file")
    if any(holds_secret(str(path)) for path in (*paths, out)):
        raise InputError("an address has a password or key in it; set it in the environment")
    if name is not None and (safe_name(name) != name):
        raise InputError(
            f"name {name!r} is not usable as a folder; {safe_name(name)!r} would be (letters, digits, . _ + -)"
        )
    return as_path(out) / (name or name_of(paths))


def sources_of(paths: Sequence[Path], *, inside: Path | None = None) -> tuple[Source, ...]:
    """Digest of each source file or store; an unchanged file is read once per process.

    Args:
        paths: Files or stores.
        inside: Folder that none of them may lead out of by a link; without one, a link as such is allowed.

    Raises:
        InputError: if a source does not exist, cannot be read, or has parts that are links to somewhere else.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the path")
    return tuple(_digest(path, inside) for path in paths)


def _digest(path: Path, inside: Path | None) -> Source:
    from invae.readers.registry import own_files_of  # imports libraries of formats

    _, *beside = own_files_of(path, folder=inside)
    files = [*(path.rglob("*") if path.is_dir() else [path]), *beside]
    states = (file.stat() for file in files)
    state = tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states)
    return _digest_of_state(path, tuple(beside), state)


@lru_cache(maxsize=256)
def _digest_of_state(
    path: Path, beside: tuple[Path, ...], state: tuple[tuple[int, int, int, int], ...]
) -> Source:
    from invae.readers.registry import module_of

    try:
        reader = module_of(path)
    except InputError:  # ingest refuses files without a reader, and gives the reason
        reader = ""
    return replace(provenance.digest_path(path, beside=beside), reader=reader)


def settings_of(config: ProcessConfig, sections: Sequence[str]) -> dict[str, object]:
    """Some sections of the configuration, as JSON values."""
    return config.model_dump(mode="json", include=set(sections))


def config_hash(config: ProcessConfig) -> str:
    """Hash of all settings that can change a value: without name, version, description and compute."""
    return provenance.digest_json(
        config.model_dump(mode="json", exclude={"name", "version", "description", "compute"})
    )


def code_of(
    stage: Stage,
    sources: Sequence[Source] = (),
    *,
    reader: str | None = None,
    kind: Kind | None = None,
    model: ModelKind | None = None,
) -> str:
    """Digest of the code of a stage: for ingest with the readers of the sources, for others with the modules of the kind.

    Args:
        stage: The stage.
        sources: Sources of the recording; only ingest reads them.
        reader: Name of a configured format; from the sources when empty.
        kind: Kind of recording; all kinds when empty.
        model: Kind of model; all kinds when empty.
    """
    if stage.inputs:
        rows = KINDS.values() if kind is None else [kind]
        models = MODEL_KINDS.values() if model is None else [model]
        of_models = dict.fromkeys(stage.module_for(row) for row in models)
        return code_digest(
            *of_models, *sorted({m for row in rows for m in row.modules(stage.name)})
        )
    if reader is None:
        modules = {source.reader for source in sources if source.reader}
    else:
        from invae.readers.registry import module_named

        modules = {module_named(reader)}
    return code_digest(stage.module, *sorted(modules))


def _code_for(stage: Stage, sources: Sequence[Source], config: ProcessConfig) -> str:
    kind, model = kind_of(config.describe), model_kind_of(config.model)
    return code_of(stage, sources, reader=config.ingest.format, kind=kind, model=model)


def code_of_receipt(receipt: Receipt) -> str:
    """Digest of the current code of the stage of a receipt."""
    reader = receipt.config.get("ingest", {}).get("format")
    kind, model = recorded_kind(receipt.config), model_kind_of(receipt.config.get("model", {}))
    return code_of(STAGES[receipt.stage], receipt.sources, reader=reader, kind=kind, model=model)


def key_of(
    stage: Stage, inputs: Sequence[str], config: ProcessConfig, *, sources: Sequence[Source] = ()
) -> str:
    """The key of a stage's output.

    Args:
        stage: The stage.
        inputs: Keys of the outputs that it reads; for ingest, digests of the sources.
        config: Configuration of the run.
        sources: Sources of the recording; only ingest reads them.
    """
    kind = kind_of(config.describe)
    return provenance.stage_key(
        stage.name,
        inputs=inputs,
        config={**settings_of(config, stage.sections), **kind.words(stage.name)},
        code=_code_for(stage, sources, config),
        seed=config.seed if stage.seeded else 0,
    )


def find(
    places: Sequence[Path],
    sources: Sequence[Source],
    config: ProcessConfig,
    *,
    given: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], dict[str, Path]]:
    """Keys of the output of every stage, and the outputs that exist under them in one of the folders, by stage.

    Args:
        places: Folders of the recording; the first one with an output counts.
        sources: Sources of the recording.
        config: Configuration of the run.
        given: Fixed keys by stage, such as the key of a model from elsewhere.
    """
    keys, held = dict[str, str](), dict[str, Path]()
    digests = [source.sha256 for source in sources]
    for name, stage in STAGES.items():
        inputs = [keys[before] for before in stage.inputs] or digests
        wanted = (given or {}).get(name) or key_of(stage, inputs, config, sources=sources)
        outputs = (place / stage.output for place in places)
        path = next((path for path in outputs if store.is_current(path, wanted)), None)
        made = None if path is None else store.read_receipt(path)
        keys[name] = wanted if made is None else made.key
        if path is not None:
            held[name] = path
    return keys, held


def plan(
    folder: Path,
    sources: Sequence[Source],
    config: ProcessConfig,
    *,
    given: Mapping[str, str] | None = None,
) -> list[Step]:
    """Every stage with its key, and whether its output exists."""
    keys, held = find([folder], sources, config, given=given)
    return [Step(stage, keys[name], name in held) for name, stage in STAGES.items()]


def receipt_of_recording(
    folder: Path, sources: tuple[Source, ...], config: ProcessConfig, *, flow_run: str = ""
) -> Receipt:
    """The receipt of an ingested recording."""
    stage = STAGES["ingest"]
    key = key_of(stage, [source.sha256 for source in sources], config, sources=sources)
    return _receipt(stage, key, folder.name, sources, {}, config, flow_run)


def receipt_of(
    stage: Stage, folder: Path, config: ProcessConfig, *, flow_run: str = "", asked: str = ""
) -> Receipt:
    """The receipt of a later stage, from the receipts of its inputs.

    Args:
        stage: The stage.
        folder: Folder of the recording.
        config: Configuration of the run.
        flow_run: Id of the flow run.
        asked: The key for the requested configuration, if `config` has a smaller batch.

    Raises:
        StoreError: if an input is missing or unfinished.
    """
    inputs = {name: _finished(folder / STAGES[name].output, name) for name in stage.inputs}
    keys = {name: receipt.key for name, receipt in inputs.items()}
    first = inputs[stage.inputs[0]]
    key = key_of(stage, list(keys.values()), config)
    receipt = _receipt(stage, key, first.recording, first.sources, keys, config, flow_run)
    return replace(receipt, asked=asked)


def receipt_of_several(
    patches: Sequence[Path], name: str, config: ProcessConfig, *, flow_run: str = ""
) -> Receipt:
    """The receipt of a model trained on several descriptor stores; its inputs have the names `describe/RECORDING`.

    Raises:
        StoreError: if a store is missing or unfinished.
        InputError: if a store is given twice.
    """
    stage, inputs, sources = STAGES["train"], dict[str, str](), list[Source]()
    for path in patches:
        receipt = _finished(path, "describe")
        if receipt.key in inputs.values():
            raise InputError(
                f"{path} holds the patches of a recording already given; name each once"
            )
        label = "describe" if len(patches) == 1 else f"describe/{receipt.recording}"
        number = sum(each.partition("#")[0] == label for each in inputs)
        inputs[f"{label}#{number + 1}" if number else label] = receipt.key
        sources += receipt.sources
    key = key_of(stage, list(inputs.values()), config)
    made_from = tuple(dict.fromkeys(sources))
    return _receipt(stage, key, name, made_from, inputs, config, flow_run)


def _finished(path: Path, stage: str) -> Receipt:
    receipt = store.read_receipt(path)
    if receipt is None:
        raise StoreError(f"{path} is missing or unfinished; run `invae {stage}` first")
    return receipt


def _receipt(
    stage: Stage,
    key: str,
    recording: str,
    sources: tuple[Source, ...],
    inputs: Mapping[str, str],
    config: ProcessConfig,
    flow_run: str,
) -> Receipt:
    return Receipt(
        stage=stage.name,
        key=key,
        recording=recording,
        sources=sources,
        inputs=inputs,
        config=config.model_dump(mode="json"),
        config_hash=config_hash(config),
        seed=config.seed,
        code=_code_for(stage, sources, config),
        versions=provenance.versions(),
        created=provenance.now(),
        flow_run=flow_run,
    )
