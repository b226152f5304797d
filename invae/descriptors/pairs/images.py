"""The images beside the spectra, and the place of every spectrum in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config.spectra import PairsConfig
from invae.descriptors.layout import pixel_sizes
from invae.descriptors.offset import offset_of, without_offset
from invae.descriptors.spectra.sites import as_image_axes, on_own_pixels, on_survey
from invae.descriptors.spectra.source import TRUTH, Spectra
from invae.dims import FRAME, IMAGE, SURVEY_X, SURVEY_Y
from invae.errors import ConfigError, InputError
from invae.storage import store

SUM, FIRST = "sum", "first"
SURVEY = (SURVEY_Y, SURVEY_X)
READ_VALUES = 4_000_000
"""Values of spectra that are summed at once."""


@dataclass(frozen=True)
class Images:
    """The images from which patches are cut."""

    recording: Path
    kind: str
    """grid, survey or sum."""
    names: tuple[str, ...]
    """Of the channels."""
    shape: tuple[int, int]
    """(y, x) [px]."""
    n_frames: int
    sum: np.ndarray | None
    """Sum of the spectra (y, x), for the kind sum."""
    notes: tuple[str, ...]

    def read(self, frame: int) -> np.ndarray:
        """All channels of one frame (channel, y, x), NaN if unknown."""
        if self.sum is not None:
            return self.sum[None]
        dataset = store.open_store(self.recording)
        place = {FRAME: frame} if self.kind == "grid" else {}
        images = [
            without_offset(dataset[name].isel(place).to_numpy(), offset_of(dataset[name]))
            for name in self.names
        ]
        return np.stack(images).astype(np.float64)

    @property
    def axes(self) -> xr.Dataset:
        """The recording with `y` and `x` of the images."""
        dataset = store.open_store(self.recording)
        return as_image_axes(dataset) if self.kind == "survey" else dataset


def images_of(recording: Path, spectra: Spectra, *, config: PairsConfig) -> Images:
    """The images that the configuration chooses.

    Raises:
        InputError: the recording has no image beside its spectra, or all its images are constant.
        ConfigError: a chosen image does not exist.
    """
    dataset = store.open_store(recording)
    there = {"grid": _named(dataset, IMAGE), "survey": _named(dataset, SURVEY)}
    kind = config.image or next((kind for kind, names in there.items() if names), None)
    name = recording.parent.name
    if kind == FIRST:
        return _first_as_image(recording, spectra)
    if kind == SUM or (kind is None and spectra.on_grid):
        return _sum_as_image(recording, spectra, asked=kind == SUM)
    if kind is None or not there[kind]:
        which = "survey" if config.image == "survey" else "image"
        raise InputError(
            f"{name}: has no {which} beside its spectra; give the file of the image together with that of the spectra"
        )
    if kind == "survey" and not spectra.on_grid:
        raise ConfigError(
            "describe.image is survey, but the spectra are at points, whose places are in the images; "
            "leave it empty"
        )
    names, notes = _chosen(dataset, there[kind], config=config, recording=name)
    first = dataset[names[0]]
    n_frames = first.sizes.get(FRAME, 1)
    if kind == "grid" and spectra.on_grid and n_frames > 1:
        notes.append(f"the recording has {n_frames} frames; patches are cut from the first one")
    if kind == "survey" and config.grid_to_image is not None:
        notes.append("the grid lies on the survey as describe.grid_to_image says")
    shape = (first.shape[-2], first.shape[-1])
    return Images(recording, kind, tuple(names), shape, n_frames, None, tuple(notes))


def _named(dataset: xr.Dataset, dims: tuple[str, ...]) -> list[str]:
    """Names of the measured images with these dims, in alphabetical order."""
    return sorted(
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dims == dims and not str(name).startswith(TRUTH)
    )


def _chosen(
    dataset: xr.Dataset, there: Sequence[str], *, config: PairsConfig, recording: str
) -> tuple[list[str], list[str]]:
    """Names of the channels, and notes; a constant image is left out unless it is chosen by name."""
    if config.channels is not None:
        missing = [name for name in config.channels if name not in there]
        if missing:
            raise ConfigError(
                f"describe.channels names {missing[0]!r}; the images are {', '.join(there)}"
            )
        return list(config.channels), []
    constant = [name for name in there if _is_constant(dataset[name])]
    names = [name for name in there if name not in constant]
    if not names:
        raise InputError(
            f"{recording}: every image beside the spectra is constant ({', '.join(constant)}); record it "
            "again, or choose others with describe.channels"
        )
    return names, [f"image {name} is constant and no channel of the patches" for name in constant]


def _is_constant(image: xr.DataArray) -> bool:
    low, high = image.attrs.get("actual_range", (0, 1))
    return bool(low == high)


def _sum_as_image(recording: Path, spectra: Spectra, *, asked: bool) -> Images:
    """The sum of every spectrum over its axis, as an image of the grid."""
    image = _as_image(spectra, SUM, lambda values: values.sum(axis=1))
    why = "" if asked else "there is no image beside the spectra, so that "
    note = (
        f"{why}the image is the sum of {spectra.name} over {spectra.axis}: it shares the noise of the spectra, so that "
        "a prediction of spectra from it is too good"
    )
    return Images(recording, SUM, (f"{spectra.name}_sum",), image.shape, 1, image, (note,))


def _first_as_image(recording: Path, spectra: Spectra) -> Images:
    """The first value of every spectrum, as an image of the grid."""
    image = _as_image(spectra, FIRST, lambda values: values[:, 0])
    note = f"the image is the first value of {spectra.name}, whose noise it shares"
    return Images(recording, FIRST, (f"{spectra.name}_first",), image.shape, 1, image, (note,))


def _as_image(
    spectra: Spectra, kind: str, reduce: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A number of every spectrum of a grid as an image (y, x)."""
    if not spectra.on_grid:
        raise ConfigError(
            f"describe.image is {kind}, but the spectra are at points and make no image; leave it empty"
        )
    length = max(1, READ_VALUES // max(1, len(spectra.kept)))
    values = [reduce(spectra.read(block)) for block in store.blocks(len(spectra), length)]
    return np.concatenate(values).reshape(spectra.shape[:2]).astype(np.float64)


def places_in(
    images: Images, spectra: Spectra, known: xr.Dataset, *, config: PairsConfig
) -> np.ndarray:
    """(y, x) of every spectrum in pixels of its image (spectrum, 2).

    Raises:
        ConfigError: the place of the grid on the survey is unknown.
        InputError: a point lies in a frame that does not exist.
    """
    dataset = store.open_store(images.recording)
    if images.kind == "survey":
        survey = dataset[images.names[0]]
        return on_survey(dataset, survey, spectra, config=config.grid_to_image)
    last = int(known["frame"].max())
    if not spectra.on_grid and last >= images.n_frames:
        raise InputError(
            f"{images.recording.parent.name}: a spectrum is in frame {last}, but the recording has "
            f"{images.n_frames} frames; correct point_frame"
        )
    return on_own_pixels(dataset, spectra)


def window_px(images: Images, *, config: PairsConfig) -> int:
    """Side of a patch [px].

    A window in nm is one of `window` pixels where the image has no pixel size, and at most half an image wide.

    Raises:
        ConfigError: it does not fit into an image.
    """
    widest = min(images.shape)
    size = pixel_sizes(images.axes)
    if config.window_nm is not None and size is not None:
        pixel = float(np.mean(size))
        window = round(config.window_nm / pixel)
        if not 2 <= window <= widest:
            raise ConfigError(
                f"describe.window_nm {config.window_nm:g} is {window} px of {pixel:.3g} nm; choose {2 * pixel:.3g} to "
                f"{widest * pixel:.3g} nm, the width of the image"
            )
        return window
    if config.window_nm is not None:
        return min(config.window, max(2, widest // 2))
    if not 2 <= config.window <= widest:
        raise ConfigError(
            f"describe.window is {config.window} px; choose 2 to {widest} px, the width of an image"
        )
    return config.window


def window_notes(images: Images, *, config: PairsConfig) -> list[str]:
    """A line for the report where a window in nm could not be used."""
    if config.window_nm is None or pixel_sizes(images.axes) is not None:
        return []
    return [
        f"the image has no pixel size: the window is {window_px(images, config=config)} px instead of {config.window_nm:g} nm "
        "(describe.window_nm=null and describe.window, or ingest.pixel_size)"
    ]
