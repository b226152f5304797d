"""What each channel of a PFM recording is, from its label: quantity, direction, plane, measurement."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import xarray as xr

from invae.readers.labels import words

KINDS = {
    "amplitude": frozenset({"amplitude", "ampl", "amp", "magnitude", "mag"}),
    "phase": frozenset({"phase", "phs"}),
}
LOCK_IN = {
    "x": frozenset({"x", "inphase", "real"}),
    "y": frozenset({"y", "quadrature", "imag", "imaginary"}),
}
"""Words of the two outputs of a lock-in amplifier."""
PIEZO = frozenset(
    {"pfm", "vpfm", "lpfm", "pr", "piezo", "piezoresponse", "lockin", "lock", "demod"}
)
"""Words of a piezoresponse; without one of them, x and y are positions."""
DERIVED = frozenset({"log", "error", "setpoint", "sensor", "drive"})
"""Words of channels that are no response themselves."""
TRACE = frozenset({"trace", "fwd", "forward"})
RETRACE = frozenset({"retrace", "bwd", "backward", "rev", "reverse"})
VERTICAL = frozenset({"vertical", "vert", "vpfm", "oop"})
LATERAL = frozenset({"lateral", "lat", "lpfm", "torsion", "torsional", "inplane"})
PLANES = ("vertical", "", "lateral")
"""Planes in the order of preference; most instruments do not name the vertical one."""


@dataclass(frozen=True)
class Role:
    """What one channel is; empty where its label does not say it."""

    name: str
    label: str
    kind: str
    """`amplitude`, `phase`, `x`, `y` or empty."""
    direction: str
    """`trace`, `retrace` or empty."""
    plane: str
    """`vertical`, `lateral` or empty."""
    numbers: tuple[int, ...]
    """Numbers in the label: of the frequency, of the pass."""
    nap: bool
    """Whether it is from the second pass above the sample."""
    piezo: bool
    """Whether the label says that it is a piezoresponse."""
    repetition: int
    """How many channels with the same label precede it."""

    def contradicts(self, other: "Role") -> bool:
        """Whether two channels are of different measurements."""
        different = any(here and there and here != there for here, there in self._beside(other))
        return different or self.nap != other.nap or self.repetition != other.repetition

    def unknown(self, other: "Role") -> int:
        """In how many respects only one of two channels says what it is."""
        return sum(bool(here) != bool(there) for here, there in self._beside(other))

    def _beside(self, other: "Role") -> tuple[tuple[object, object], ...]:
        return (
            (self.direction, other.direction),
            (self.plane, other.plane),
            (self.numbers, other.numbers),
        )


def roles_of(recording: xr.Dataset, names: Sequence[str]) -> list[Role]:
    """The role of each channel, in the order given."""
    seen: Counter[str] = Counter()
    roles = []
    for name in sorted(names, key=_natural):
        attrs = recording[name].attrs
        label = str(attrs.get("label") or name)
        label = name if label in ("signal", "") else label
        roles.append(_role(name, label, str(attrs.get("direction", "")), seen[label]))
        seen[label] += 1
    return sorted(roles, key=lambda role: list(names).index(role.name))


def _natural(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _role(name: str, label: str, direction: str, repetition: int) -> Role:
    found = [word.lower() for word in words(label)]
    distinct = frozenset(found)
    return Role(
        name,
        label,
        kind=_kind(distinct),
        direction=direction or _one_of({"trace": TRACE, "retrace": RETRACE}, distinct),
        plane=_plane(distinct),
        numbers=tuple(int(word) for word in found if word.isdecimal()),
        nap="nap" in distinct,
        piezo=bool(distinct & PIEZO),
        repetition=repetition,
    )


def kind_of_label(label: str) -> str:
    """`amplitude`, `phase`, `x`, `y` or empty: what a label says about its channel."""
    return _kind(frozenset(word.lower() for word in words(label)))


def _kind(found: frozenset[str]) -> str:
    if found & DERIVED:
        return ""
    kind = _one_of(KINDS, found)
    return kind or (_one_of(LOCK_IN, found) if found & PIEZO else "")


def _plane(found: frozenset[str]) -> str:
    if "plane" in found:
        return "vertical" if "out" in found else "lateral" if "in" in found else ""
    return _one_of({"vertical": VERTICAL, "lateral": LATERAL}, found)


def _one_of(meanings: dict[str, frozenset[str]], found: frozenset[str]) -> str:
    """The only meaning whose words occur; empty if there is none or several."""
    meant = [meaning for meaning, known in meanings.items() if known & found]
    return meant[0] if len(meant) == 1 else ""


def of_kind(roles: Sequence[Role], kind: str) -> list[Role]:
    """The channels of one kind."""
    return [role for role in roles if role.kind == kind]


def pairs_of(
    firsts: Sequence[Role], seconds: Sequence[Role], *, among: Sequence[Role]
) -> list[tuple[Role, Role]]:
    """All pairs of channels that belong to one measurement, the preferred one first.

    Vertical comes before lateral, a piezoresponse before a plain one, the first pass before the second, lower numbers before
    higher ones, then the direction that more channels of the recording have, then the trace.
    """
    votes = Counter(role.direction for role in among if role.direction)
    found = [(one, other) for one in firsts for other in seconds if not one.contradicts(other)]
    return sorted(found, key=partial(_rank, votes))


def _rank(votes: Mapping[str, int], pair: tuple[Role, Role]) -> tuple[Any, ...]:
    one, other = pair
    direction = one.direction or other.direction
    return (
        one.unknown(other),
        one.nap,
        PLANES.index(one.plane or other.plane),
        not (one.piezo and other.piezo),
        one.numbers or other.numbers,
        one.repetition,
        -votes.get(direction, 0),
        direction != "trace",
    )
