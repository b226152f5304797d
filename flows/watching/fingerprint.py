"""Whether files have changed (fast, at every scan), and the digest of their content (once)."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from invae.storage import provenance

SAMPLE_BYTES, SAMPLES = 1 << 16, 5
"""Blocks sampled in every file, from the first to the last."""
DIGITS = 16


def stat_mark(files: Sequence[Path]) -> str:
    """A digest of names, sizes, times and permissions of the files; no content is read.

    Raises:
        OSError: if a file is missing.
    """
    digest = hashlib.sha256()
    for file in _inside(files):
        state = file.stat()
        digest.update(repr((str(file), state.st_size, state.st_mtime_ns, state.st_mode)).encode())
    return digest.hexdigest()[:DIGITS]


def fingerprint(files: Sequence[Path]) -> str:
    """The `stat_mark` of the files and a digest of sampled content: some writers do not change the time.

    Raises:
        OSError: if a file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for file in _inside(files):
        for block in _samples(file):
            digest.update(block)
    return f"{stat_mark(files)}-{digest.hexdigest()[:DIGITS]}"


def is_unchanged(files: Sequence[Path], before: str) -> bool:
    """Whether names, sizes, times and permissions are those of an earlier fingerprint.

    Raises:
        OSError: if a file is missing.
    """
    return before.partition("-")[0] == stat_mark(files)


def content_digest(files: Sequence[Path]) -> str:
    """SHA-256 of the content of all files, without their names: a renamed copy has the same one.

    Raises:
        InputError: if a file cannot be read.
    """
    parts = [(path.suffix.lower(), provenance.digest_path(path).sha256) for path in files]
    return provenance.digest_json(parts)


def n_bytes(files: Sequence[Path]) -> int:
    """Size of all files together [bytes].

    Raises:
        OSError: if a file is missing.
    """
    return sum(file.stat().st_size for file in _inside(files))


def _inside(files: Sequence[Path]) -> Iterator[Path]:
    """The files, and all files in those that are folders of a store."""
    for path in files:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path


def _samples(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        last = max(size - SAMPLE_BYTES, 0)
        for start in sorted({last * n // (SAMPLES - 1) for n in range(SAMPLES)}):
            stream.seek(start)
            yield stream.read(SAMPLE_BYTES)
