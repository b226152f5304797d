"""Maps of the integral of spectra, where the sites lie on a grid."""

import numpy as np
import xarray as xr

from invae import dims

WHERE = (dims.FRAME, "grid_y", "grid_x")
FEWEST = 3
"""Fewest rows and columns of a map."""
SPARSE = 4
"""Most places of a grid per site."""


def band_maps(sites: xr.Dataset, sd: np.ndarray, *, units: str = "1") -> xr.Dataset | None:
    """Maps of what was measured and predicted, their difference, the predicted sd and the folds; none without a grid.

    Args:
        sites: Sites of the result, with `measured_band`, `predicted_band` and `fold`.
        sd: Predicted sd (site, energy).
        units: Of the values of spectra.
    """
    found = _rows_and_columns(sites)
    if found is None:
        return None
    row, column, shape = found
    frames, frame = np.unique(sites[dims.FRAME].to_numpy(), return_inverse=True)
    band_units = str(sites["measured_band"].attrs["units"])

    def laid_out(values: np.ndarray, words: str, unit: str) -> tuple[object, ...]:
        image = np.full((len(frames), *shape), np.nan, np.float32)
        image[frame, row, column] = values
        return WHERE, image, dims.attrs(words, unit)

    measured, predicted = (sites[f"{n}_band"].to_numpy() for n in ("measured", "predicted"))
    return xr.Dataset(
        {
            "measured": laid_out(measured, "integral of the measured spectrum", band_units),
            "predicted": laid_out(
                predicted, "integral of the predicted spectrum, held out", band_units
            ),
            "difference": laid_out(predicted - measured, "predicted less measured", band_units),
            "sd": laid_out(sd.mean(1), "mean predicted sd of a value of the spectrum", units),
            "fold": laid_out(sites["fold"].to_numpy(), "part that was held out together", "1"),
        },
        coords={dims.FRAME: frames},
    )


def _rows_and_columns(sites: xr.Dataset) -> tuple[np.ndarray, np.ndarray, tuple[int, int]] | None:
    """Row and column of every site in its grid, and the size of the grid."""
    if "grid_row" in sites.coords:
        row, column = (sites[name].to_numpy() for name in ("grid_row", "grid_column"))
        row, column = row - row.min(), column - column.min()
    else:
        row, column = (_evenly(sites[name].to_numpy()) for name in (dims.Y, dims.X))
        if row is None or column is None:
            return None
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    n_places = shape[0] * shape[1] * len(np.unique(sites[dims.FRAME]))
    if min(shape) < FEWEST or n_places > SPARSE * sites.sizes[dims.SITE]:
        return None
    return row, column, shape


def _evenly(values: np.ndarray) -> np.ndarray | None:
    """Number of every value in an even series; none where they are in no such series."""
    places, number = np.unique(np.round(values, 2), return_inverse=True)
    steps = np.diff(places)
    if len(places) < FEWEST or np.ptp(steps) > 0.1 * np.median(steps):
        return None
    return number.ravel()
