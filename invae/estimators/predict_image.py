"""Spectra at places of an image, as a model of pairs predicts them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.descriptors.layout import pixel_sizes
from invae.descriptors.patches import cut
from invae.errors import ConfigError, InputError
from invae.models.signals import IMAGE
from invae.pairs import folder
from invae.pairs.data import pairs_of
from invae.pairs.fitted import Fitted, refuse_other_pixels
from invae.pairs.labelled import predicted
from invae.progress import Progress, silent
from invae.readers import open_recording
from invae.training.device import device_of

AT_ONCE = 1024
"""Patches in memory at a time."""
SURVEY = {dims.SURVEY_Y: dims.Y, dims.SURVEY_X: dims.X}


def predict_image(
    image: Path,
    model: Path,
    *,
    spacing: int | None = None,
    at: Sequence[tuple[float, float]] = (),
    channels: Sequence[str] = (),
    frame: int = 0,
    pixel_size: float | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> xr.Dataset:
    """Predicted spectra with intervals, on a grid (y, x, energy) or at single places (site, energy).

    Args:
        image: A file or store with an image.
        model: Folder of a model that was trained on pairs.
        spacing: Distance of neighbouring places of the grid [px]; a quarter of the model's window when empty.
        at: Places (y, x) [px], in place of a grid; the centre of the first pixel is (0, 0).
        channels: Names of the images, in the order of the model's channels; the names of the training when empty.
        frame: Frame of a series.
        pixel_size: Size of a pixel [nm]; replaces that of the file.
        device: auto, cpu or cuda.
        progress: Called with places.

    Raises:
        StoreError: There is no model of pairs in the folder.
        InputError: The image has other channels or pixels than those of the training, or is too small.
        ConfigError: A place or the frame is not in the image.
    """
    fitted = folder.load(model, device=device_of(device))
    if not fitted.predicts:
        raise InputError(f"{model} makes images of spectra; give a model that predicts spectra")
    pixels, size = _image_of(image, fitted, channels=channels, frame=frame, pixel_size=pixel_size)
    window = fitted.patch[1]
    if min(pixels.shape[1:]) < window:
        raise InputError(
            f"{image} has {pixels.shape[1]} × {pixels.shape[2]} px, the model needs {window} × {window} px"
        )
    if at:
        places = _checked(np.array(at, float), pixels.shape[1:], window, image)
        found = _predicted(fitted, pixels, places, window, progress)
        return _with_places(found, places, size)
    rows, columns = (_even(n, window, spacing or max(1, window // 4)) for n in pixels.shape[1:])
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    found = _predicted(fitted, pixels, places, window, progress)
    return _on_grid(found, rows, columns, size)


def _image_of(
    image: Path,
    fitted: Fitted,
    *,
    channels: Sequence[str],
    frame: int,
    pixel_size: float | None,
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Channels (channel, y, x) and height and width of a pixel [nm]."""
    recording = open_recording(image, pixel_size=pixel_size)
    names = list(channels or fitted.channels)
    there = {str(name): v for name, v in recording.data_vars.items() if _is_image(v)}
    missing = [name for name in names if name not in there]
    if missing or len(names) != fitted.patch[0]:
        raise InputError(
            f"{image} has the images {', '.join(there) or 'none'}, the model takes "
            f"{', '.join(fitted.channels)}; name them in this order with --channel"
        )
    shown = recording[names]
    if dims.SURVEY_Y in shown.sizes:
        shown = shown.rename({old: new for old, new in SURVEY.items() if old in shown.dims})
    n_frames = shown.sizes.get(dims.FRAME, 1)
    if not 0 <= frame < n_frames:
        raise ConfigError(f"frame {frame} does not exist; {image} has {n_frames} from 0")
    if dims.FRAME in shown.dims:
        shown = shown.isel({dims.FRAME: frame})
    size = pixel_sizes(shown)
    refuse_other_pixels(None if size is None else float(np.mean(size)), fitted.pixel_size_nm)
    pixels = np.stack([shown[name].transpose(dims.Y, dims.X).to_numpy() for name in names])
    return pixels.astype(np.float64), size


def _is_image(variable: xr.DataArray) -> bool:
    over = set(map(str, variable.dims)) - {dims.FRAME}
    return over in ({dims.Y, dims.X}, {dims.SURVEY_Y, dims.SURVEY_X})


def _even(length: int, window: int, spacing: int) -> np.ndarray:
    """Centres of windows inside an axis, evenly and in its middle [px]."""
    room = length - window
    first = (window - 1) / 2 + (room % spacing) / 2
    return first + spacing * np.arange(room // spacing + 1)


def _checked(places: np.ndarray, shape: tuple[int, ...], window: int, image: Path) -> np.ndarray:
    """Places whose windows are inside the image.

    Raises:
        ConfigError: One is not.
    """
    low, high = (window - 1) / 2, np.array(shape) - 1 - (window - 1) / 2
    outside = ((places < low) | (places > high)).any(1)
    if outside.any():
        y, x = places[outside][0]
        raise ConfigError(
            f"the window of {window} px about {y:g},{x:g} leaves {image}; y is {low:g} to {high[0]:g} px, x to {high[1]:g} px"
        )
    return places


def _predicted(
    fitted: Fitted,
    pixels: np.ndarray,
    places: np.ndarray,
    window: int,
    progress: Progress,
) -> xr.Dataset:
    """Spectra at places (site, 2), (y, x) [px]."""
    pieces = []
    for start in range(0, len(places), AT_ONCE):
        here = places[start : start + AT_ONCE]
        patches = [cut(one, np.isfinite(one), here, window=window)[0] for one in pixels]
        given = pairs_of({IMAGE: np.stack(patches, axis=1)}, needs_spectra=False)
        pieces.append(predicted(fitted, given))
        progress(start + len(here), len(places))
    found = xr.concat(pieces, dims.SITE)
    assert isinstance(found, xr.Dataset)
    return found


def _with_places(
    found: xr.Dataset, places: np.ndarray, size: tuple[float, float] | None
) -> xr.Dataset:
    coords = {}
    for k, name in enumerate((dims.Y, dims.X)):
        coords[name] = (dims.SITE, places[:, k], dims.attrs(f"place, {name}", "pixel"))
        if size is not None:
            coords[f"{name}_nm"] = (
                dims.SITE,
                places[:, k] * size[k],
                dims.attrs(f"place, {name}", "nm"),
            )
    return found.assign_coords(coords)


def _on_grid(
    found: xr.Dataset, rows: np.ndarray, columns: np.ndarray, size: tuple[float, float] | None
) -> xr.Dataset:
    """The spectra over (y, x, energy)."""
    axes = {}
    for k, (name, values) in enumerate(((dims.Y, rows), (dims.X, columns))):
        axes[name] = (name, values, dims.attrs(f"place, {name}", "pixel"))
        if size is not None:
            axes[f"{name}_nm"] = (name, values * size[k], dims.attrs(f"place, {name}", "nm"))
    shape = (len(rows), len(columns))
    variables = {
        name: ((dims.Y, dims.X, *v.dims[1:]), v.to_numpy().reshape(*shape, -1), v.attrs)
        for name, v in found.data_vars.items()
    }
    along = {name: c.variable for name, c in found.coords.items() if dims.SITE not in c.dims}
    return xr.Dataset(variables, coords={**axes, **along}, attrs=found.attrs)
