"""Files of instruments to lazy, labelled Datasets with units and calibration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import xarray as xr

from invae.errors import ConfigError, InputError
from invae.readers.raw import Reader
from invae.readers.recording import assemble
from invae.readers.registry import all_readers, files_of, module_of, reader_for
from invae.readers.scan_shape import PATTERN, Scan, in_scan, one_pattern
from invae.readers.series import concatenate, in_order

__all__ = ["Reader", "Scan", "all_readers", "files_of", "module_of", "open_recording"]


def open_recording(
    path: str | Path | Sequence[str | Path],
    *,
    format: str | None = None,  # noqa: A002 — the word of the command line and of the configuration
    order: Literal["given", "name", "time"] = "given",
    pixel_size: float | None = None,
    channels: Sequence[str] | None = None,
    scan: Scan | None = None,
) -> xr.Dataset:
    """One recording, or a series of files as one, labelled and lazy: no pixel is read before it is used.

    Args:
        path: A file or store, or several files that make a series.
        format: Name of the format (see `invae formats`); found by content when empty.
        order: How the files of a series follow each other.
        pixel_size: Size of a pixel [nm], instead of what the files say.
        channels: Names of the channels to keep; all of them when empty, of several signals of
            patterns the counts.
        scan: Shape and order of the scan of patterns, where the file does not tell them or tells them wrong.

    Raises:
        ConfigError: If a file lacks one of the channels, or the scan does not fit its patterns.
        InputError: If a file is missing, broken, not a recording, or does not belong to the series.
        UnknownFormat: If no reader knows a file.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not paths:
        raise InputError("no file was given; name at least one recording")
    recordings: dict[Path, xr.Dataset] = {}
    seen: dict[Path, Path] = {}
    for one in paths:
        recording = _open(
            one, format_name=format, pixel_size=pixel_size, channels=channels, scan=scan or Scan()
        )
        first = seen.setdefault(one.resolve(), one)
        if one in recordings or first is not one:
            raise InputError(f"{one}: is in the series twice (as {first}); name it once")
        recordings[one] = recording
    if len(recordings) == 1:
        return recordings[paths[0]]
    return concatenate(*in_order(recordings, order))


def _open(
    path: Path,
    *,
    format_name: str | None,
    pixel_size: float | None,
    channels: Sequence[str] | None,
    scan: Scan,
) -> xr.Dataset:
    reader = reader_for(path, format_name=format_name)
    raw = one_pattern(in_scan(reader.open(path), path, scan), channels, path)
    recording = assemble(raw, path, format_name=reader.name, pixel_size=pixel_size)
    if channels is None or list(recording.data_vars) == [PATTERN]:
        return recording
    return with_channels(recording, channels, str(path))


def with_channels(recording: xr.Dataset, channels: Sequence[str], name: str) -> xr.Dataset:
    """The recording with some of its channels.

    Raises:
        ConfigError: If it lacks one of them.
    """
    missing = [channel for channel in channels if channel not in recording.data_vars]
    if missing or not channels:
        there = ", ".join(map(str, recording.data_vars))
        raise ConfigError(
            f"{name}: has no channel {', '.join(missing) or 'chosen'}; choose ingest.channels "
            f"among {there}"
        )
    return recording[list(channels)]
