"""Readers: files of instruments become lazy, labelled Datasets with units and calibration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import xarray as xr

from invae.errors import ConfigError, InputError
from invae.readers.beside_spectra import holds_spectra, with_images
from invae.readers.raw import Reader
from invae.readers.recording import assemble
from invae.readers.registry import all_readers, files_of, module_of, own_files_of, reader_for
from invae.readers.scan_shape import PATTERN, Scan, in_scan, single_pattern
from invae.readers.series import concatenate, in_order
from invae.readers.spectra import arranged

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

    Raises:
        ConfigError: If a file lacks one of the channels, or the scan does not match its patterns.
        InputError: If a file is missing, broken, not a recording, does not belong to the series, or has parts that are
            links to somewhere else.
        UnknownFormat: If no reader recognises a file.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(file) for file in path]
    if not paths:
        raise InputError("no file was given; name at least one recording")
    recordings: dict[Path, xr.Dataset] = {}
    first_names: dict[Path, Path] = {}
    for file in paths:
        recording = _open(
            file,
            format_name=format,
            pixel_size=pixel_size,
            channels=channels if len(paths) == 1 else None,
            scan=scan or Scan(),
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
                file: _open(
                    file, format_name=format, pixel_size=None, channels=None, scan=scan or Scan()
                )
                for file, recording in recordings.items()
                if not holds_spectra(recording)
            }
        joined = with_images(list(recordings), list(recordings.values()))
        return joined if channels is None else with_channels(joined, channels, str(paths[0]))
    if channels is not None:
        recordings = {f: with_channels(r, channels, str(f)) for f, r in recordings.items()}
    return concatenate(*in_order(recordings, order))


def _open(
    path: Path,
    *,
    format_name: str | None,
    pixel_size: float | None,
    channels: Sequence[str] | None,
    scan: Scan,
    wanted: Sequence[str] | None = None,
) -> xr.Dataset:
    own_files_of(path)
    reader = reader_for(path, format_name=format_name)
    raw = single_pattern(in_scan(arranged(reader.open(path), path), path, scan), channels, path)
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
