"""What every version of a named configuration says, by digest: a version is given once and then stays as it is.

`python -m flows.cli.config_lock` writes down the versions that are new, and ends with code 1 where one is no longer what it was.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from invae.config import named
from invae.storage.provenance import digest_json

LOCK = "versions.json"
"""Name of the file, beside the configurations."""

NOT_CONTENT = ("name", "version", "description", "compute")
"""Keys that change no value."""

Pinned = dict[str, dict[str, str]]
"""Digests by name and version."""


def digests(files: Mapping[str, Path]) -> Pinned:
    """What the configurations of some files say now, by name and version; comments and layout do not count."""
    found: Pinned = {}
    for path in files.values():
        values = named.read(path)
        content = {key: value for key, value in values.items() if key not in NOT_CONTENT}
        name, version = str(values.get("name")), str(values.get("version"))
        found.setdefault(name, {})[version] = digest_json(content)
    return found


def recorded(lock: Path) -> Pinned:
    """What was written down when the versions were given; nothing if there is no such file."""
    return json.loads(lock.read_text()) if lock.is_file() else {}


def troubles(files: Mapping[str, Path], lock: Path) -> list[str]:
    """A line for every version that says something else than when it was given, or was not written down."""
    before, lines = recorded(lock), []
    for name, versions in digests(files).items():
        for version, digest in versions.items():
            then = before.get(name, {}).get(version)
            if then is None:
                lines.append(
                    f"{name}@{version} is not in {lock}; run `python -m flows.cli.config_lock` and commit it"
                )
            elif then != digest:
                lines.append(
                    f"{name}@{version} has changed: keep what it was as {name}@{version}.yaml "
                    f"(from the commit before), give {name}.yaml a new version, and run "
                    "`python -m flows.cli.config_lock`"
                )
    return lines


def write_down(files: Mapping[str, Path], lock: Path) -> None:
    """Add the versions that are new; those that are there stay."""
    known = recorded(lock)
    for name, versions in digests(files).items():
        known[name] = {**versions, **known.get(name, {})}
    ordered = {name: dict(sorted(known[name].items())) for name in sorted(known)}
    lock.write_text(json.dumps(ordered, indent=1) + "\n")


def main() -> int:
    """Write down what is new; the exit code is 1 if something is wrong."""
    files = named.available()
    lock = named.folder() / LOCK
    write_down(files, lock)
    lines = troubles(files, lock)
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
