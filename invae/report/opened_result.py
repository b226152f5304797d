"""A finished result for people: its sites as a table, its maps and images, its verdict, and its first figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from invae.errors import InputError
from invae.results import reading
from invae.results.table import columns_of
from invae.verdict.findings import Verdict, verdict_in

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

RESULT = "result.zarr"
MAPS = ("maps", "scan", "map", "grid")
"""Groups with maps; a kind of recording has one of them."""


@dataclass(frozen=True)
class OpenedResult:
    """A finished result; groups are read when they are used.

    Example:
        >>> import invae
        >>> result = invae.open_result("results/scan_0001")  # doctest: +SKIP
        >>> result.sites.groupby("cluster").size()  # doctest: +SKIP
    """

    path: Path
    groups: Mapping[str, xr.Dataset]
    """Groups by name; the sites are ""."""

    @property
    def kind(self) -> str:
        """Kind of recording, such as atoms or domains."""
        return reading.kind_of(self.groups).name

    @property
    def sites(self) -> pd.DataFrame:
        """One row for each site: place, latents, classes, scores. Units are in `sites.attrs["units"]` by column."""
        import pandas as pd

        columns = columns_of(self.groups[""])
        table = pd.DataFrame({column.name: column.values for column in columns})
        table.attrs["units"] = {column.name: column.units for column in columns}
        return table

    @property
    def maps(self) -> xr.Dataset:
        """Maps on the grid of the recording.

        Raises:
            InputError: This kind of recording has no maps.
        """
        name = next((name for name in MAPS if name in self.groups), None)
        if name is None:
            raise InputError(f"a result of {self.kind} has no maps; see {', '.join(self.groups)}")
        return self.groups[name]

    @property
    def images(self) -> xr.DataArray:
        """The images on which the sites lie.

        Raises:
            InputError: This kind of recording has no images.
        """
        if "images" not in self.groups:
            raise InputError(f"a result of {self.kind} has no images; use .maps or .groups")
        return self.groups["images"]["image"]

    @property
    def verdict(self) -> Verdict:
        """How far the result can be believed.

        Raises:
            InputError: The result was made by a version without a verdict.
        """
        verdict = verdict_in(self.groups[""].attrs)
        if verdict is None:
            raise InputError(f"{self.path} has no verdict; run `invae run` again")
        return verdict

    def plot(self) -> Figure:
        """The first figure of the report."""
        from invae.config import ReportConfig
        from invae.report.kind import page_of

        sections = page_of(self.groups).sections
        first = next(e for figures in sections.values() for e in figures if e.when(self.groups))
        return first.draw(self.groups, ReportConfig()).figure


def open_result(path: str | Path) -> OpenedResult:
    """Open a finished result: the folder of a run, or its `result.zarr`.

    Raises:
        StoreError: There is no finished result.
    """
    folder = Path(path)
    inside = folder / RESULT
    place = inside if inside.is_dir() else folder
    return OpenedResult(place, reading.open_result(place))
