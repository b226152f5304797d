"""Digests of all versions of the named configurations: a published version must never change.

`python -m flows.cli.config_lock` adds new versions to the lock file and exits with code 1 if a recorded version has changed.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from invae.config import named
from invae.storage.json_text import parsed
from invae.storage.provenance import digest_json

LOCK = "versions.json"
"""Name of the lock file, in the folder of the configurations."""

NOT_CONTENT = ("name", "version", "description", "compute")
"""Keys that change no result."""

Digests = dict[str, dict[str, str]]
"""Digests by name and version."""


def digests(files: Mapping[str, Path]) -> Digests:
    """Digests of the present configuration files; comments and layout do not count."""
    by_name: Digests = {}
    for path in files.values():
        values = named.read(path)
        content = {key: value for key, value in values.items() if key not in NOT_CONTENT}
        name, version = str(values.get("name")), str(values.get("version"))
        by_name.setdefault(name, {})[version] = digest_json(content)
    return by_name


def recorded(lock: Path) -> Digests:
    """Digests in the lock file; empty if the file does not exist."""
    return parsed(lock.read_text()) if lock.is_file() else {}


def violations(files: Mapping[str, Path], lock: Path) -> list[str]:
    """A line for every version that has changed or is not in the lock file."""
    locked, lines = recorded(lock), []
    for name, versions in digests(files).items():
        for version, digest in versions.items():
            expected = locked.get(name, {}).get(version)
            if expected is None:
                lines.append(
                    f"{name}@{version} is not in {lock}; run `python -m flows.cli.config_lock` and commit it"
                )
            elif expected != digest:
                lines.append(
                    f"{name}@{version} has changed: restore it as {name}@{version}.yaml from the "
                    f"previous commit, give {name}.yaml a new version, and run "
                    "`python -m flows.cli.config_lock`"
                )
    return lines


def add_new(files: Mapping[str, Path], lock: Path) -> None:
    """Add new versions to the lock file; recorded ones stay."""
    locked = recorded(lock)
    for name, versions in digests(files).items():
        locked[name] = {**versions, **locked.get(name, {})}
    ordered = {name: dict(sorted(locked[name].items())) for name in sorted(locked)}
    lock.write_text(json.dumps(ordered, indent=1) + "\n")


def main() -> int:
    """Add new versions; the exit code is 1 if a recorded version has changed."""
    files = named.available()
    lock = named.folder() / LOCK
    add_new(files, lock)
    lines = violations(files, lock)
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
