"""Tables of broken inputs, filled by a decorator."""

from collections.abc import Callable
from pathlib import Path

Make = Callable[..., Path | list[Path]]
Rows = dict[str, tuple[Make, str]]


def broken_inputs() -> tuple[Rows, Callable[[str], Callable[[Make], Make]]]:
    """An empty table, and a decorator that adds a row: a function that makes the input, and a pattern of the error's text."""
    rows: Rows = {}

    def bad(message: str) -> Callable[[Make], Make]:
        def register(make: Make) -> Make:
            rows[make.__name__] = (make, message)
            return make

        return register

    return rows, bad
