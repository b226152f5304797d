"""A figure of the report with the words that go with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import xarray as xr
from matplotlib.figure import Figure

from invae.config import ReportConfig

Result = Mapping[str, xr.Dataset]
"""Groups of a result by name; the sites are ""."""


@dataclass(frozen=True)
class Table:
    """A table below a figure."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A line below the table."""


@dataclass(frozen=True)
class Drawing:
    """One figure and its words."""

    name: str
    """Name of its file, without suffix."""
    title: str
    how_to_read: str
    """In plain words, for somebody who sees such a figure for the first time."""
    figure: Figure
    numbers: str = ""
    """The figures in the figure."""
    table: Table | None = None


class LeftOut(Exception):
    """The result does not hold what a figure shows."""

    def __init__(self, title: str, reason: str) -> None:
        """Say which figure is not there, and why."""
        super().__init__(f"{title}: {reason}")


Draw = Callable[[Result, ReportConfig], Drawing]
