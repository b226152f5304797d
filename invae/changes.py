"""What is another between two versions of a recording: the numbers at the top of the report, and the digests of all values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from invae import stages, store
from invae.differences import digest_of
from invae.results.reading import groups_of

COMPARED = tuple(stage.output for name, stage in stages.STAGES.items() if name != "report")
"""Outputs whose values can be compared; a report is made of pictures."""


@dataclass(frozen=True)
class Change:
    """One number or digest before and now; empty where there is none."""

    what: str
    """In words, for a number; the store's name, for a digest."""
    before: float | str | None
    now: float | str | None
    units: str = ""

    @property
    def is_one(self) -> bool:
        """Whether it is not the same."""
        return self.before != self.now


def numbers(before: Path, now: Path) -> list[Change]:
    """The numbers of two folders of a recording, those of the new one first."""
    old, new = _summary(before), _summary(now)
    return [
        Change(words, old.get((words, units)), new.get((words, units)), units)
        for words, units in dict.fromkeys((*new, *old))
    ]


def _summary(folder: Path) -> dict[tuple[str, str], float]:
    path = folder / stages.STAGES["analyse"].output
    if store.read_receipt(path) is None or "summary" not in groups_of(path):
        return {}
    return {
        (str(variable.attrs.get("long_name", name)), str(variable.attrs.get("units", ""))): float(
            variable
        )
        for name, variable in store.open_store(path, group="summary").data_vars.items()
        if variable.ndim == 0
    }


def digests(before: Path, now: Path, *, outputs: Sequence[str] = COMPARED) -> Iterator[Change]:
    """SHA-256 of all values of every output, before and now; one that was taken over is read once."""
    for name in outputs:
        receipts = [store.read_receipt(folder / name) for folder in (before, now)]
        new = None if receipts[1] is None else digest_of(now / name)
        if receipts[0] is not None and receipts[0] == receipts[1]:
            yield Change(name, new, new)
        else:
            yield Change(name, None if receipts[0] is None else digest_of(before / name), new)
