"""Odd contents for every file that is read back as JSON: of the whole file, or of one of its fields."""

import json
import random
from collections.abc import Iterator
from typing import Any

ODD_FILES: dict[str, bytes] = {
    "empty": b"",
    "a list": b"[1, 2]",
    "a number": b"7",
    "a text": b'"text"',
    "null": b"null",
    "no fields": b"{}",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "NaN": b"NaN",
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "deep nesting of fields": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b"9" * 10_000,
    "binary": bytes(range(256)),
}
ODD_VALUES: tuple[Any, ...] = (None, [], {}, "", "text", -1, 1.5, float("nan"), 10**300, [[]], True)


def odd_contents(content: bytes, *, n_fields: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every odd content, made of a sound one.

    Args:
        content: of the sound file.
        n_fields: fields that get a value of another type, or are removed, at random.
        seed: of the choice.
    """
    chosen = random.Random(seed)
    yield "cut", content[: len(content) // 2]
    yield from ODD_FILES.items()
    for _ in range(n_fields):
        values = json.loads(content)
        places = list(_places(values))
        if not places:
            return
        owner, key = chosen.choice(places)
        if chosen.random() < 0.2:
            del owner[key]
            yield f"without {key}", json.dumps(values).encode()
        else:
            owner[key] = chosen.choice(ODD_VALUES)
            yield f"{key} = {str(owner[key])[:20]}", json.dumps(values).encode()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every field at every depth, with what it lies in."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(values, dict):
        inside = list(values.items())
    elif isinstance(values, list):
        inside = list(enumerate(values))
    for key, value in inside:
        yield values, key
        yield from _places(value)
