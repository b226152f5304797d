"""Whether the versions of the installed libraries are those that this package supports."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from flows.service.doctor.check import Check, fail, ok, warn

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
"""Exists in a checkout; an installed package has the same lines in its metadata."""

_EXTRA = re.compile(r"""extra\s*==\s*['"](?P<name>[^'"]+)['"]""")


def check_pins(pyproject: Path = PYPROJECT) -> list[Check]:
    """A check for every library that is missing or outside its range; one line if there is none."""
    required, extras = requirements(pyproject)
    problems = [*_wrong(required), *_wrong_extras(extras)]
    return problems or [ok("pins", f"{len(required)} libraries are within their ranges")]


def requirements(pyproject: Path = PYPROJECT) -> tuple[list[Requirement], list[Requirement]]:
    """Required libraries and those of the extras, from `pyproject.toml` or the installed metadata."""
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        extras = [line for lines in project["optional-dependencies"].values() for line in lines]
        return [Requirement(line) for line in project["dependencies"]], list(
            map(Requirement, extras)
        )
    lines = importlib.metadata.requires("invae") or []
    plain = [Requirement(line) for line in lines if not _EXTRA.search(line)]
    return plain, [Requirement(line.partition(";")[0]) for line in lines if _EXTRA.search(line)]


def _wrong(required: list[Requirement]) -> Iterator[Check]:
    for requirement in required:
        version = installed(requirement.name)
        if version is None:
            yield fail("pins", f"{requirement.name} is not installed", _install(requirement))
        elif not requirement.specifier.contains(version, prereleases=True):
            found = f"{requirement.name} {version} is outside {requirement.specifier}"
            yield fail("pins", found, _install(requirement))


def _wrong_extras(extras: list[Requirement]) -> Iterator[Check]:
    """Optional libraries are checked only if they are installed."""
    for requirement in extras:
        version = installed(requirement.name)
        if version and not requirement.specifier.contains(version, prereleases=True):
            found = f"{requirement.name} {version} is outside {requirement.specifier}"
            yield warn("pins", found, _install(requirement))


def installed(name: str) -> str | None:
    """Version of a library; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install(requirement: Requirement) -> str:
    return f"pip install '{requirement}'"
