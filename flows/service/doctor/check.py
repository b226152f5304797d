"""The result of one check."""

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """The result of one check in one line, with a remedy if it is not ok."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """The check as JSON values."""
        return asdict(self)


def ok(name: str, found: str) -> Check:
    """A check without problems."""
    return Check(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Check:
    """It works, but something should be changed."""
    return Check(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """It does not work, or soon will not."""
    return Check(name, "fail", found, remedy)
