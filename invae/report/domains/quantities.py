"""Quantities of the dynamics of walls as rows of a table: a value with its interval, or the reason why there is none."""

import numpy as np
import xarray as xr

from invae.report.figure import Result, Table
from invae.report.style import number


def rows_of(result: Result, names: tuple[str, ...]) -> Table | None:
    """The named quantities as a table; none if the result has none of them."""
    quantities = result.get("quantities")
    if quantities is None:
        return None
    here = [str(name) for name in quantities["quantity"].to_numpy()]
    rows = [_row(quantities.sel(quantity=name)) for name in names if name in here]
    return Table(("quantity", "value", "interval of 95 %", "unit"), rows) if rows else None


def value_of(result: Result, name: str) -> float:
    """The value of a quantity; NaN if there is none."""
    quantities = result.get("quantities")
    if quantities is None or name not in quantities["quantity"]:
        return float("nan")
    return float(quantities["value"].sel(quantity=name))


def reason_of(result: Result, name: str) -> str:
    """The reason why a quantity has no value; empty if there is none."""
    quantities = result.get("quantities")
    if quantities is None or name not in quantities["quantity"]:
        return ""
    return str(quantities["reason"].sel(quantity=name).item())


def _row(one: xr.Dataset) -> tuple[str, str, str, str]:
    words, unit = str(one["description"].item()), str(one["unit"].item())
    value, low, high = (float(one[name]) for name in ("value", "low", "high"))
    if not np.isfinite(value):
        return words, "–", f"not given: {one['reason'].item()}", ""
    interval = f"{number(low)} to {number(high)}" if np.isfinite(low) else "–"
    shown = "" if unit == "1" else unit.replace("pixel**2", "px²").replace("pixel", "px")
    return words, number(value), interval, shown
