"""Random damage of a file: bytes changed, and its end cut off."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st


def every_damage_has_one_line(
    path: Path, refusal: Callable[[Path], str], *, changed: int | None = None
) -> None:
    """Damage a file in 80 ways; each is read, or refused in one line.

    Args:
        path: the file, whole.
        refusal: the message of a refusal, empty if the file is read; another error escapes.
        changed: bytes from the start that may change; all of them when empty.
    """
    whole = path.read_bytes()
    last = min(changed or len(whole), len(whole)) - 1
    change = st.tuples(st.integers(0, last), st.integers(0, 255))

    @settings(derandomize=True, max_examples=80, deadline=None, database=None)
    @given(
        changes=st.lists(change, max_size=6),
        length=st.just(len(whole)) | st.integers(1, len(whole)),
    )
    def damage(changes: list[tuple[int, int]], length: int) -> None:
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:length])
        assert len(refusal(path).splitlines()) <= 1

    damage()
