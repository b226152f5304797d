"""Readers: files of instruments become lazy, labelled Datasets with units and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from invae.errors import ConfigError, InputError
from invae.readers import layout
from invae.readers.axis_roles import spelled
from invae.readers.beside_spectra import holds_spectra, with_images
from invae.readers.raw import Raw, Reader
from invae.readers.recording import assemble
from invae.readers.registry import all_readers, files_of, module_of, own_files_of, reader_for
from invae.readers.scan_shape import PATTERN, Scan, in_scan, single_pattern
from invae.readers.series import concatenate, in_order
from invae.readers.spectra import arranged

HDF5 = "hdf5"
"""The format of which a single array can be named."""

__all__ = [
    "Reader",
    "Scan",
    "all_readers",
    "files_of",
    "module_of",
    "open_recording",
    "own_files_of",
]


def open_recording(
    path: str | Path | Sequence[str | Path],
    *,
    format: str | None = None,  # noqa: A002 — the word of the command line and of the configuration
    order: Literal["given", "name", "time"] = "given",
    pixel_size: float | None = None,
    channels: Sequence[str] | None = None,
    scan: Scan | None = None,
    names: Sequence[str] | None = None,
    orientation: str = layout.AS_READ,
    other_areas: bool = False,
    dataset: str | None = None,
) -> xr.Dataset:
    """One recording, or several files as one, labelled and lazy: pixels are read on demand.

    Args:
        path: A file or store, the files of a series, or a file of spectra and files of images of the same place.
        format: Name of the format (see `invae formats`); detected from the content when empty.
        order: Order of the files of a series.
        pixel_size: Size of a pixel [nm]; replaces the value in the files.
        channels: Names of the channels to keep; all when empty. Of several signals of patterns the
            counts are kept.
        scan: Shape and order of a scan of patterns, if the file lacks them or has wrong ones.
        names: Names of the axes in the order of the file, if it does not name them or names them wrongly: `frame`, `y`,
            `x`, `channel`, `scan_y`, `scan_x`, `k_y`, `k_x`, `point` or a spectral axis.
        orientation: How images, grids and scans are mirrored or turned after reading (`layout.ORIENTATIONS`).
        other_areas: Whether the files of a series may show other areas, or be turned, by their headers.
        dataset: Name of the array to read of an HDF5 file, such as `/entry/data/data`.

    Raises:
        ConfigError: If a file lacks one of the channels, or the scan does not match its patterns.
        InputError: If a file is missing, broken, not a recording, does not belong to the series, or has parts that are
            links to somewhere else.
        UnknownFormat: If no reader recognises a file.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(file) for file in path]
    if not paths:
        raise InputError("no file was given; name at least one recording")
    reading = Reading(
        format or (HDF5 if dataset else None),
        scan or Scan(),
        None if names is None else tuple(names),
        orientation,
        dataset,
    )
    recordings: dict[Path, xr.Dataset] = {}
    first_names: dict[Path, Path] = {}
    for file in paths:
        recording = _open(
            file,
            reading,
            pixel_size=pixel_size,
            channels=channels if len(paths) == 1 else None,
            wanted=channels,
        )
        first = first_names.setdefault(file.resolve(), file)
        if file in recordings or first is not file:
            raise InputError(f"{file}: is in the series twice (as {first}); name it once")
        recordings[file] = recording
    if len(recordings) == 1:
        return recordings[paths[0]]
    if any(holds_spectra(recording) for recording in recordings.values()):
        if pixel_size is not None:  # of the grid, not of the images
            recordings |= {
                file: _open(file, reading, pixel_size=None, channels=None)
                for file, recording in recordings.items()
                if not holds_spectra(recording)
            }
        joined = with_images(list(recordings), list(recordings.values()))
        return joined if channels is None else with_channels(joined, channels, str(paths[0]))
    if channels is not None:
        recordings = {f: with_channels(r, channels, str(f)) for f, r in recordings.items()}
    return concatenate(*in_order(recordings, order), other_areas=other_areas)


@dataclass(frozen=True)
class Reading:
    """What is set about the layout of the files."""

    format_name: str | None
    scan: Scan
    names: tuple[str, ...] | None
    orientation: str
    dataset: str | None = None

    def raw(self, path: Path, reader: Reader) -> Raw:
        """The content of a file with its axes named, completed, in the order of invae, and turned as set."""
        names = None if self.names is None else spelled(self.names, path)
        raw = reader.open(path, names, self.dataset)
        if names is not None and reader.read_named is None:
            raw = layout.renamed(raw, names, path)
        raw = layout.completed(layout.split_channels(raw))
        raw = in_scan(arranged(raw, path), path, self.scan)
        return layout.oriented(raw, self.orientation, path)


def _open(
    path: Path,
    reading: Reading,
    *,
    pixel_size: float | None,
    channels: Sequence[str] | None,
    wanted: Sequence[str] | None = None,
) -> xr.Dataset:
    own_files_of(path)
    reader = reader_for(path, format_name=reading.format_name)
    raw = single_pattern(reading.raw(path, reader), channels, path)
    recording = assemble(
        raw,
        path,
        format_name=reader.name,
        pixel_size=pixel_size,
        wanted=channels if wanted is None else wanted,
    )
    if channels is None or list(recording.data_vars) == [PATTERN]:
        return recording
    return with_channels(recording, channels, str(path))


def with_channels(recording: xr.Dataset, channels: Sequence[str], name: str) -> xr.Dataset:
    """The recording with the named channels only.

    Raises:
        ConfigError: If it lacks one of them.
    """
    missing = [channel for channel in channels if channel not in recording.data_vars]
    if missing or not channels:
        available = ", ".join(map(str, recording.data_vars))
        raise ConfigError(
            f"{name}: has no channel {', '.join(missing) or 'chosen'}; choose ingest.channels "
            f"among {available}"
        )
    return recording[list(channels)]
