"""Places of spectra in the images that show them."""

import numpy as np
import xarray as xr

from invae.config.spectra import GridPlaceConfig
from invae.descriptors.layout import pixel_sizes
from invae.descriptors.spectra.source import POINT_X, POINT_Y, Spectra
from invae.dims import SURVEY_X, SURVEY_Y, X, Y
from invae.errors import ConfigError, InputError

GRID_ATTRS = ("grid_centre_nm", "grid_size_nm", "grid_angle_deg")
GRID_RECTANGLE = "grid_rectangle_px"
SURVEY_AXES = {SURVEY_Y: Y, SURVEY_X: X}


def on_own_pixels(dataset: xr.Dataset, spectra: Spectra) -> np.ndarray:
    """(y, x) of every spectrum (spectrum, 2) in pixels of its grid, or of the images that show the points.

    A recording of points without images has pixels of 1 nm.

    Raises:
        InputError: points lie in nm and the images have no pixel size.
    """
    if spectra.on_grid:
        return np.indices(spectra.shape, float).reshape(2, -1).T
    in_nm = np.stack([dataset[name].to_numpy() for name in (POINT_Y, POINT_X)], 1).astype(float)
    if Y not in dataset.sizes:
        return in_nm
    size = pixel_sizes(dataset)
    if size is None:
        raise InputError(
            "the places of the spectra are in nm, but the images have no pixel size; set ingest.pixel_size"
        )
    return in_nm / np.array(size)


def on_survey(
    dataset: xr.Dataset, survey: xr.DataArray, spectra: Spectra, *, config: GridPlaceConfig | None
) -> np.ndarray:
    """(y, x) of every spectrum of a grid (spectrum, 2) in pixels of the survey; the centre of its first pixel is (0, 0).

    Args:
        dataset: the recording; its attributes have the place of the grid.
        survey: (survey_y, survey_x); its attributes have its own place, or the edges of the grid in its pixels.
        spectra: on a grid.
        config: place of the grid on the survey; replaces that of the file.

    Raises:
        ConfigError: neither the file nor the configuration has the place of the grid.
    """
    index = np.indices(spectra.shape, float).reshape(2, -1).T
    if config is not None:
        return np.array(config.origin) + turned(index * config.step, np.deg2rad(config.angle))
    if GRID_RECTANGLE in survey.attrs:
        top, left, bottom, right = (float(edge) for edge in survey.attrs[GRID_RECTANGLE])
        share = (index + 0.5) / np.array(spectra.shape)
        return np.array([top, left]) + share * np.array([bottom - top, right - left]) - 0.5
    if not all(name in attrs for name in GRID_ATTRS for attrs in (dataset.attrs, survey.attrs)):
        raise ConfigError(
            "the recording does not say where the grid of spectra is on the survey image; set "
            "describe.grid_to_image (origin, step, angle)"
        )
    (centre, size, angle), (own_centre, own_size, own_angle) = (
        [np.asarray(attrs[name], float) for name in GRID_ATTRS]
        for attrs in (dataset.attrs, survey.attrs)
    )
    shape = np.array([dataset.sizes[Y], dataset.sizes[X]])
    from_centre = ((index + 0.5) / shape - 0.5) * size
    in_nm = centre + turned(from_centre, float(np.deg2rad(angle)))
    on_image = turned(in_nm - own_centre, -float(np.deg2rad(own_angle))) / own_size
    return (on_image + 0.5) * np.array(survey.shape) - 0.5


def turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Vectors (…, 2), (y, x) with y down, turned by an angle [rad], positive as np.rot90."""
    y, x = vectors[..., 0], vectors[..., 1]
    return np.stack([np.cos(angle) * y - np.sin(angle) * x, np.cos(angle) * x + np.sin(angle) * y], -1)  # fmt: skip


def as_image_axes(dataset: xr.Dataset) -> xr.Dataset:
    """The axes of the survey under the names of those of an image, with the attributes of the recording."""
    axes = {own: dataset[name].variable.to_base_variable() for name, own in SURVEY_AXES.items()}
    coords = {own: (own, axis.to_numpy(), axis.attrs) for own, axis in axes.items()}
    return xr.Dataset(coords=coords, attrs=dataset.attrs)
