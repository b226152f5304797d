"""A verdict: a light, and findings that say what was found, how much it is, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from invae.errors import StoreError

Light = Literal["green", "amber", "red"]
LIGHTS: tuple[Light, ...] = get_args(Light)
"""From good to bad."""
CONCLUSIONS: Mapping[Light, str] = {
    "green": "nothing speaks against this result",
    "amber": "use this result with care",
    "red": "do not believe this result",
}
WITHHELD = "withheld"
"""Attribute of probabilities that must not be believed: 1 where they must not."""


@dataclass(frozen=True)
class Finding:
    """The answer of one check."""

    name: str
    """Name of the check, such as `overfitting`."""
    light: Light
    what: str
    """What was found."""
    how_much: str = ""
    """The numbers behind it."""
    what_to_do: str = ""
    """The remedy; empty where all is well."""

    @property
    def sentence(self) -> str:
        """All parts in one line."""
        numbers = f" ({self.how_much})" if self.how_much else ""
        return f"{self.what}{numbers}" + (f": {self.what_to_do}" if self.what_to_do else "")


@dataclass(frozen=True)
class Verdict:
    """All findings on a result; its light is the worst of theirs."""

    findings: tuple[Finding, ...]

    @property
    def light(self) -> Light:
        """Green: nothing speaks against the result. Amber: use it with care. Red: do not believe it."""
        return worst(finding.light for finding in self.findings)

    @property
    def concerns(self) -> tuple[Finding, ...]:
        """The findings that are not green, the red ones first."""
        return tuple(f for light in ("red", "amber") for f in self.findings if f.light == light)

    @property
    def passed(self) -> tuple[Finding, ...]:
        """The green findings."""
        return tuple(finding for finding in self.findings if finding.light == "green")

    def light_of(self, *names: str) -> Light:
        """The worst light of some checks; green if none of them was made."""
        return worst(finding.light for finding in self.findings if finding.name in names)

    def lines(self) -> list[str]:
        """The verdict in lines of text: the light, then every finding that is not green."""
        head = f"verdict: {self.light}, {CONCLUSIONS[self.light]}"
        return [head, *(f"{finding.light}: {finding.sentence}" for finding in self.concerns)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def attrs(self) -> dict[str, Any]:
        """The attributes of a result, as JSON values: `verdict` is the light, `findings` are all findings."""
        return {"verdict": self.light, "findings": [asdict(finding) for finding in self.findings]}


def worst(lights: Any) -> Light:
    """The worst of some lights; green if there are none."""
    return LIGHTS[max((LIGHTS.index(light) for light in lights), default=0)]


def verdict_in(attrs: Mapping[str, Any]) -> Verdict | None:
    """The verdict in the attributes of a result; none in results of versions without one.

    Raises:
        StoreError: The findings are not as they were written.
    """
    findings: Sequence[Mapping[str, Any]] | None = attrs.get("findings")
    if findings is None:
        return None
    try:
        verdict = Verdict(tuple(Finding(**finding) for finding in findings))
        assert_known(verdict)
    except (TypeError, ValueError) as error:
        raise StoreError(
            "the findings of the result cannot be read; run `invae analyse` again"
        ) from error
    return verdict


def assert_known(verdict: Verdict) -> None:
    """Refuse lights that do not exist.

    Raises:
        ValueError: There is one.
    """
    for finding in verdict.findings:
        LIGHTS.index(finding.light)


def listed(numbers: list[int]) -> str:
    """Numbers in words of a sentence."""
    return " and ".join(map(str, numbers)) if len(numbers) < 3 else ", ".join(map(str, numbers))
