"""A figure of the report with its texts."""

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
    """One figure and its texts."""

    name: str
    """Name of its file, without suffix."""
    title: str
    how_to_read: str
    """For a reader who sees such a figure for the first time."""
    figure: Figure
    numbers: str = ""
    """The main numbers of the figure."""
    table: Table | None = None


class LeftOut(Exception):
    """A figure cannot be drawn from this result."""

    def __init__(self, title: str, reason: str) -> None:
        """Name the figure and the reason."""
        super().__init__(f"{title}: {reason}")


Draw = Callable[[Result, ReportConfig], Drawing]
