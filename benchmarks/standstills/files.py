"""Attacks by files: a configuration that multiplies itself, and recordings of very many parts."""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.standstills.large import write_groups, write_pages
from benchmarks.standstills.outcomes import Outcome, refused
from invae.config import named
from invae.readers import open_recording

GOAL_CONFIG, GOAL_PARTS = 1.0, 60.0
"""Longest times that are good [s]."""
N_PAGES, N_GROUPS = 30_000, 20_000


def attacks(folder: Path, *, n_pages: int = N_PAGES, n_groups: int = N_GROUPS) -> Iterator[Outcome]:
    """All attacks by files."""
    path = write_aliases(folder / "aliases.yaml")
    attack = "a configuration whose YAML aliases stand for 9⁹ values"
    yield refused(attack, lambda: named.read(path), goal=GOAL_CONFIG)
    open_recording(write_pages(folder / "one.tif", 1))  # imports are not the attack's
    yield many_pages(folder / "pages.tif", n_pages)
    groups = write_groups(folder / "groups.h5", n_groups)
    attack = f"an HDF5 file of {n_groups:,} groups with an image each"
    yield refused(attack, lambda: open_recording(groups), goal=GOAL_PARTS)


def write_aliases(path: Path) -> Path:
    """A configuration whose description stands for nine times as many values with every line."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    path.write_text("\n".join([*lines, "description: *i"]))
    return path


def many_pages(path: Path, n_pages: int) -> Outcome:
    """A TIFF file of very many pages, until it is open."""
    write_pages(path, n_pages)
    began = time.monotonic()
    sizes = open_recording(path).sizes
    seconds = time.monotonic() - began
    opened = "opened: " + ", ".join(f"{name} {size}" for name, size in sizes.items())
    return Outcome(f"a TIFF file of {n_pages:,} pages", opened, seconds, GOAL_PARTS)
