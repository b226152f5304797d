"""The verdict on a search: whether the target can be learned comes first."""

from typing import TYPE_CHECKING

from invae.active.history import LEAST_INSIDE
from invae.verdict.findings import Finding, Light, Verdict

if TYPE_CHECKING:
    from invae.active.search import Search


def verdict_of(search: "Search") -> Verdict:
    """Whether the target can be learned, and whether the intervals hold; reliability comes first."""
    found, held = search.learnable, search.calibration
    light: Light = "amber" if found.known is None else "green" if found.known else "red"
    findings = [Finding("learnable", light, found.sentence)]
    if held.n_all:
        narrow = held.all < LEAST_INSIDE
        numbers = f"{held.all:.0%} of {held.n_all} measured values, {held.checks:.0%} of {held.n_checks} random ones"
        findings.append(
            Finding(
                "calibration",
                "amber" if narrow else "green",
                "90 % intervals before the measurement hold " + numbers,
                what_to_do="measure more before believing the map" if narrow else "",
            )
        )
    failed = sum(not one.valid for one in search.history)
    if failed:
        findings.append(
            Finding(
                "failures",
                "amber" if failed > len(search.history) / 4 else "green",
                f"{failed} of {len(search.history)} measurements could not be used",
            )
        )
    return Verdict(tuple(findings))
