"""What became of an attack, and the table of all of them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from invae.errors import InvaeError

LONGEST = 300
"""Characters of a line that are shown."""


@dataclass(frozen=True)
class Outcome:
    """One attack."""

    attack: str
    told: str
    """The line that the user reads."""
    seconds: float
    """Time until the rest goes on [s]."""
    goal: float
    """Longest time that is good [s]."""


def refused(attack: str, call: Callable[[], object], *, goal: float) -> Outcome:
    """The outcome of a call that is refused in one line.

    Raises:
        ValueError: If it is not refused.
    """
    began = time.monotonic()
    try:
        call()
    except InvaeError as error:
        return Outcome(attack, str(error), time.monotonic() - began, goal)
    raise ValueError(f"{attack}: was not refused")


def table(outcomes: Iterable[Outcome], *, folder: Path) -> str:
    """The outcomes as Markdown.

    Args:
        outcomes: in the order of the rows.
        folder: what is attacked lies in it; its path is left out of the lines.
    """
    head = [
        "| attack | message | time until the rest goes on | goal |",
        "| --- | --- | ---: | --- |",
    ]
    rows = []
    for one in outcomes:
        missed = "" if one.seconds <= one.goal else " — **missed**"
        rows.append(
            f"| {one.attack} | {_shown(one.told, folder)} | {one.seconds:.1f} s | ≤ {one.goal:g} s{missed} |"
        )
    return "\n".join([*head, *rows]) + "\n"


def _shown(told: str, folder: Path) -> str:
    """The line as code, in one line of a table, with long words and long lines shortened in the middle.

    Raises:
        ValueError: If the message has several lines; one is allowed.
    """
    if "\n" in told:
        raise ValueError(f"{told!r} has more than one line")
    words = told.replace(f"{folder}/", "").replace("|", "/").replace("`", "'").split(" ")
    line = " ".join(_shortened(word, 60) for word in words)
    return f"`{_shortened(line, LONGEST)}`"


def _shortened(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
