"""Where a store or result comes from: digests of sources and configuration, stage keys, and receipts."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self, get_origin

from invae.errors import InputError
from invae.progress import Progress, silent

LIBRARIES = ("numpy", "scipy", "scikit-image", "torch", "xarray", "zarr", "dask")
COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """One file or store that a recording was read from."""

    name: str
    sha256: str
    n_bytes: int
    reader: str = ""
    """Module of this package that reads it; empty if no reader recognises it, or in receipts of version 0.1.0."""


@dataclass(frozen=True)
class Receipt:
    """What a stage's output was made from; equal keys mean equal values."""

    stage: str
    key: str
    recording: str
    sources: tuple[Source, ...]
    inputs: Mapping[str, str]
    """Keys of the stages that this one read from, by stage."""
    config: Mapping[str, Any]
    """The whole configuration, as JSON values."""
    config_hash: str
    seed: int
    code: str
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    flow_run: str = ""
    asked: str = ""
    """The key of what was asked for, where the memory of the machine allowed a smaller batch only; `config` says which."""

    machine: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Processor, and kernels of linear algebra and of torch, of the process that finished the output; they change last digits, but no key."""

    def to_attrs(self) -> dict[str, Any]:
        """The receipt as attributes of a Zarr group, with ACDD's words where it has them."""
        version = self.versions.get("invae", "")
        return {
            "Conventions": "CF-1.11, ACDD-1.3",
            "title": f"{self.recording}: {self.stage}",
            "history": f"{self.created} invae {version} {self.stage}",
            "source": ", ".join(source.name for source in self.sources),
            "source_sha256": [source.sha256 for source in self.sources],
            "receipt": self.to_json(),
        }

    def to_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The receipt of JSON values.

        Raises:
            KeyError: If it has no sources.
            TypeError: If a field is missing, or has another type.
        """
        sources = tuple(Source(**source) for source in values["sources"])
        receipt = cls(**{**values, "sources": sources})
        for part in (receipt, *sources):
            _require_types(part)
        return receipt


def _require_types(part: "Receipt | Source") -> None:
    """Check the fields of what was read from JSON.

    Raises:
        TypeError: If one has another type.
    """
    for each in fields(part):
        value = getattr(part, each.name)
        kind: Any = get_origin(each.type) or each.type
        if kind is not tuple and not isinstance(value, kind):
            raise TypeError(f"{each.name} of a receipt is {type(value).__name__}")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that values depend on."""
    found = {"python": platform.python_version()}
    for name in ("invae", *LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def digest_json(values: Any) -> str:
    """SHA-256 of JSON values, independent of the order of keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_path(path: Path, *, beside: Sequence[Path] = (), progress: Progress = silent) -> Source:
    """SHA-256 and size of a file with those that belong to it, or of all files of a folder; names count with them."""
    digest, done = hashlib.sha256(), 0
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    files = [*inside, *beside]
    try:
        total = sum(file.stat().st_size for file in files)
        for file in files:
            if path.is_dir() or file is not path:
                name = file.name if file in beside else file.relative_to(path).as_posix()
                digest.update(name.encode() + b"\0")
            for piece in _pieces(file):
                digest.update(piece)
                done += len(piece)
                progress(done, total)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return Source(path.name, digest.hexdigest(), done)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(COPY_BYTES):
            yield piece


def stage_key(stage: str, *, inputs: Sequence[str], config: Any, code: str, seed: int) -> str:
    """The key under which a stage's output is kept: content of its inputs, its settings and its code."""
    return digest_json([stage, list(inputs), config, code, seed])
