"""Several files as one recording of spectra: the grid or points of one file, and the images of the others beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import InputError
from invae.readers.recording import with_sources
from invae.readers.spectra import POINT_X, POINT_Y, SAME_STEP, SURVEY, UNPLACED, spectral_dims

GRID_ATTRS = ("grid_centre_nm", "grid_size_nm", "grid_angle_deg")
GRID_RECTANGLE = "grid_rectangle_px"
"""Attribute of a survey: edges of the grid of spectra on it, top, left, bottom, right [px]."""
_INSTRUMENT = GRID_ATTRS[0]
NAMES = {dims.Y: dims.SURVEY_Y, dims.X: dims.SURVEY_X}


def holds_spectra(recording: xr.Dataset) -> bool:
    """Whether a recording has spectra."""
    return any(spectral_dims(tuple(map(str, v.dims))) for v in recording.data_vars.values())


def with_images(paths: Sequence[Path], recordings: Sequence[xr.Dataset]) -> xr.Dataset:
    """The spectra of one file with the images of the others; no pixel is read.

    Images of the same pixels become images of the grid. The first file with other pixels becomes the survey: its first channel is
    called `survey`, each further one `survey_<name>`.

    Raises:
        InputError: If several files hold spectra, or an image has several frames.
    """
    spectral = [n for n, recording in enumerate(recordings) if holds_spectra(recording)]
    own_names = [paths[n].name for n in spectral]
    if len(spectral) > 1 and all(recordings[n].attrs.get("format") == "dat" for n in spectral):
        joined = points_together([paths[n] for n in spectral], [recordings[n] for n in spectral])
        images = [n for n in range(len(paths)) if n not in spectral]
        if not images:
            return joined
        paths = [paths[spectral[0]], *(paths[n] for n in images)]
        recordings = [joined, *(recordings[n] for n in images)]
        spectral = [0]
    if len(spectral) != 1:
        raise InputError(
            f"{paths[spectral[1]]}: holds spectra, as {paths[spectral[0]].name} does; ingest each grid "
            "of spectra on its own"
        )
    joined, own_path = recordings[spectral[0]], paths[spectral[0]]
    notes = [note for note in joined.attrs["notes"] if note != UNPLACED]
    for path, recording in zip(paths, recordings, strict=True):
        if recording is recordings[spectral[0]]:
            continue
        _require_one_frame(path, recording)
        notes += [note for note in recording.attrs["notes"] if note not in notes]
        if (
            dims.POINT in joined.dims
            and dims.Y not in joined.dims
            and _INSTRUMENT in recording.attrs
        ):
            joined = _with_image_of_points(joined, recording)
        elif _same_pixels(recording, joined):
            joined = _with_grid_images(joined, recording)
        elif SURVEY not in joined:
            joined = _with_survey(joined, recording)
        else:
            notes.append(
                f"{path.name} has other pixels than the grid and the survey; it was left out"
            )
    if SURVEY in joined and not _is_placed(joined):
        notes.append(UNPLACED)
    names = [*own_names, *(path.name for path in paths if path != own_path)]
    joined = joined.assign_attrs(notes=notes)
    return with_sources(joined, names, [0] * joined.sizes.get(dims.FRAME, 0))


def points_together(paths: Sequence[Path], recordings: Sequence[xr.Dataset]) -> xr.Dataset:
    """The spectra of several files at one point each.

    Raises:
        InputError: If channels, units or axes differ, or two spectra are at one place.
    """
    first = recordings[0]
    known: dict[tuple[float, float], Path] = {}
    for path, recording in zip(paths, recordings, strict=True):
        kinds = [
            {str(n): (v.dims, v.shape[1:], v.attrs.get("units")) for n, v in r.data_vars.items()}
            for r in (recording, first)
        ]
        same = kinds[0] == kinds[1] and all(
            np.allclose(recording[dim], first[dim], rtol=1e-5, atol=1e-9)
            for dim in map(str, recording.dims)
            if dim in recording.coords and dim != dims.POINT
        )
        if not same:
            raise InputError(
                f"{path}: has other channels or another axis than {paths[0].name}; ingest them apart"
            )
        place = (float(recording[POINT_Y][0]), float(recording[POINT_X][0]))
        if place in known:
            raise InputError(
                f"{path}: is at the place of {known[place].name}; average their spectra, or leave one out"
            )
        known[place] = path
    joined = xr.concat(
        [recording.drop_vars("source", errors="ignore") for recording in recordings],
        dims.POINT, data_vars="minimal", coords="minimal", compat="override", join="override",
    )  # fmt: skip
    notes = [note for recording in recordings for note in recording.attrs["notes"]]
    joined = joined.assign_attrs(first.attrs | {"notes": list(dict.fromkeys(notes))})
    return with_sources(joined, [path.name for path in paths], [])


def _with_image_of_points(spectra: xr.Dataset, image: xr.Dataset) -> xr.Dataset:
    """Points in the instrument's coordinates with an image of it; their places then count from its first pixel."""
    centre, size, angle = (np.asarray(image.attrs[name], dtype=float) for name in GRID_ATTRS)
    down, right = (spectra[name].to_numpy() - at for name, at in zip((POINT_Y, POINT_X), centre, strict=True))  # fmt: skip
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    pixels = np.array([image.sizes[dims.Y], image.sizes[dims.X]])
    own = np.stack([cos * down + sin * right, cos * right - sin * down], axis=1)
    own += size / 2 - size / pixels / 2
    places = {
        name: (dims.POINT, own[:, n], spectra[name].attrs)
        for n, name in enumerate((POINT_Y, POINT_X))
    }
    axes = {name: image[name].variable for name in (dims.Y, dims.X)}
    return _with_grid_images(spectra.assign_coords({**places, **axes}), image)


def _require_one_frame(path: Path, recording: xr.Dataset) -> None:
    if any(variable.dims != dims.IMAGE for variable in recording.data_vars.values()):
        raise InputError(
            f"{path}: has dims {', '.join(map(str, recording.dims))}; only images can be beside spectra"
        )
    if recording.sizes[dims.FRAME] != 1:
        raise InputError(
            f"{path}: has {recording.sizes[dims.FRAME]} frames, but one image can be beside a grid of "
            "spectra; select it"
        )


def _same_pixels(image: xr.Dataset, spectra: xr.Dataset) -> bool:
    """Whether an image has the number and, where both are known, size and place of the pixels of a grid of spectra."""
    for dim in (dims.Y, dims.X):
        if spectra.sizes.get(dim) != image.sizes[dim]:
            return False
        pair = [recording[dim] for recording in (image, spectra)]
        calibrated = all(axis.attrs["units"] == "nm" and axis.size > 1 for axis in pair)
        if calibrated and not np.isclose(*(float(a[1] - a[0]) for a in pair), rtol=SAME_STEP):
            return False
    return _same_place(image, spectra)


def _same_place(image: xr.Dataset, spectra: xr.Dataset) -> bool:
    """Whether two grids of the same pixels lie on each other within half a pixel; also if one has no place."""
    if any(GRID_ATTRS[0] not in recording.attrs for recording in (image, spectra)):
        return True
    (centre, size, angle), (other, _, turned) = (
        [np.asarray(recording.attrs[name], dtype=float) for name in GRID_ATTRS]
        for recording in (image, spectra)
    )
    pixel = float(size[0] / image.sizes[dims.Y])
    turn = np.deg2rad((angle - turned + 180) % 360 - 180)
    shift = np.abs(centre - other).max() + np.abs(turn) * size.max() / 2
    return bool(shift <= 0.5 * pixel)


def _with_grid_images(spectra: xr.Dataset, image: xr.Dataset) -> xr.Dataset:
    names = {str(name): _free(str(name), spectra) for name in image.data_vars}
    coords = {dims.FRAME: image[dims.FRAME].variable}
    return spectra.assign_coords(coords).assign(
        {new: image[old].variable for old, new in names.items()}
    )


def _with_survey(spectra: xr.Dataset, image: xr.Dataset) -> xr.Dataset:
    """The recording with the channels of an image as survey, each with the place of the image."""
    place = {name: image.attrs[name] for name in GRID_ATTRS if name in image.attrs}
    place |= _rectangle_on(image, spectra)
    survey = image.isel({dims.FRAME: 0}, drop=True).rename(NAMES)
    first = str(next(iter(survey.data_vars)))
    names = {
        str(name): SURVEY if name == first else f"{SURVEY}_{name}" for name in survey.data_vars
    }
    variables = {new: survey[old].assign_attrs(place).variable for old, new in names.items()}
    return spectra.assign_coords({dim: survey[dim] for dim in NAMES.values()}).assign(variables)


def _is_placed(recording: xr.Dataset) -> bool:
    """Whether both the grid and the survey have a place in the instrument's coordinates."""
    attrs: Mapping[str, object] = recording.attrs
    own = recording[SURVEY].attrs
    return GRID_RECTANGLE in own or (GRID_ATTRS[0] in attrs and GRID_ATTRS[0] in own)


def _rectangle_on(image: xr.Dataset, spectra: xr.Dataset) -> dict[str, list[float]]:
    """Edges of the grid of spectra on an image of its session: the survey, or an image recorded with the spectra in finer steps."""
    edges = spectra.attrs.get("survey_rectangle_px")
    if edges is None or image.attrs.get("survey_id") != spectra.attrs["survey_id"]:
        return {}
    own = image.attrs.get("survey_rectangle_px")
    if own is None:
        return {GRID_RECTANGLE: list(edges)}
    height, width = float(image.sizes[dims.Y]), float(image.sizes[dims.X])
    return {GRID_RECTANGLE: [0.0, 0.0, height, width]} if list(own) == list(edges) else {}


def _free(name: str, recording: xr.Dataset) -> str:
    """The name, with a number if the recording has it already."""
    number, free = 1, name
    while free in recording.variables:
        number += 1
        free = f"{name}_{number}"
    return free
