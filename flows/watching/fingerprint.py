"""Whether files are what they were (quick), and what is in them (once)."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from invae.storage import provenance

SAMPLE_BYTES, SAMPLES = 1 << 16, 5
"""Blocks looked at in every file, from the first to the last."""
DIGITS = 16


def stat_mark(files: Sequence[Path]) -> str:
    """A mark of names, sizes, times and rights of the files; nothing is read.

    Raises:
        OSError: if one has gone.
    """
    digest = hashlib.sha256()
    for file in _inside(files):
        state = file.stat()
        digest.update(repr((str(file), state.st_size, state.st_mtime_ns, state.st_mode)).encode())
    return digest.hexdigest()[:DIGITS]


def fingerprint(files: Sequence[Path]) -> str:
    """The mark of the files, and one of samples of what is in them: some writers leave the time as it was.

    Raises:
        OSError: if one has gone or cannot be read.
    """
    digest = hashlib.sha256()
    for file in _inside(files):
        for block in _samples(file):
            digest.update(block)
    return f"{stat_mark(files)}-{digest.hexdigest()[:DIGITS]}"


def is_same(files: Sequence[Path], before: str) -> bool:
    """Whether names, sizes, times and rights are those of a fingerprint.

    Raises:
        OSError: if a file has gone.
    """
    return before.partition("-")[0] == stat_mark(files)


def content_digest(files: Sequence[Path]) -> str:
    """SHA-256 of what is in all files, whatever they are called: a renamed copy has the same one.

    Raises:
        InputError: if one cannot be read.
    """
    parts = [(path.suffix.lower(), provenance.digest_path(path).sha256) for path in files]
    return provenance.digest_json(parts)


def n_bytes(files: Sequence[Path]) -> int:
    """Size of all files together [bytes].

    Raises:
        OSError: if one has gone.
    """
    return sum(file.stat().st_size for file in _inside(files))


def _inside(files: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in folders that are stores."""
    for path in files:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path


def _samples(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        last = max(size - SAMPLE_BYTES, 0)
        for place in sorted({last * n // (SAMPLES - 1) for n in range(SAMPLES)}):
            stream.seek(place)
            yield stream.read(SAMPLE_BYTES)
