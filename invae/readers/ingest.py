"""From the instrument's files to `recording.zarr`: block by block, resumed by shard, published whole or not at all."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.config import ComputeConfig, IngestConfig
from invae.errors import ConfigError, InputError, InvaeError
from invae.progress import Progress, silent
from invae.readers import Scan, files_of, open_recording, with_channels
from invae.readers.ingest_scan import is_scan, take_in_scan
from invae.readers.recording import COMPLETE, with_sources
from invae.readers.survey import Survey
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

BYTES_PER_MB = 1e6


def ingest(
    sources: Sequence[Path],
    target: Path,
    *,
    config: IngestConfig,
    receipt: Receipt,
    compute: ComputeConfig | None = None,
    progress: Progress = silent,
) -> None:
    """Take files that make one recording into a store.

    Args:
        sources: One file, or the files of a series.
        target: The store to make; what stood there is replaced when the new one is complete.
        config: Which channels, which order, which calibration.
        receipt: What goes on the finished store; its key names the unfinished one.
        compute: Where the blocks run.
        progress: Told the number of blocks done.

    Raises:
        ConfigError: If the configuration does not fit the recording.
        InputError: If a file is broken, does not belong to the series, is still being written, or says nothing.
        StoreError: If the disk is full or cannot be written.
    """
    paths = [Path(source) for source in sources]
    _are_different(receipt)
    files = dict.fromkeys(file for path in paths if path.exists() for file in files_of(path))
    before = {file: _state(file) for file in files}
    recording = open_recording(
        paths,
        format=config.format,
        order=config.order,
        pixel_size=config.pixel_size,
        channels=config.channels,
        scan=Scan(config.scan_shape, config.scan_order, config.flyback),
    )
    _take_in(
        _timed(recording, config),
        target,
        config=config,
        receipt=receipt,
        compute=compute or ComputeConfig(),
        progress=progress,
        check=partial(_unchanged, before),
    )


def ingest_dataset(
    recording: xr.Dataset,
    target: Path,
    *,
    config: IngestConfig,
    receipt: Receipt,
    compute: ComputeConfig | None = None,
    progress: Progress = silent,
) -> None:
    """Take a recording that lies in no file into a store: computed when read, lazily or by Dask.

    Dims, coordinates and attributes must be those of `open_recording`; memory holds a few shards.

    Raises:
        ConfigError: If the configuration does not fit the recording.
        InputError: If the recording says nothing.
        StoreError: If the disk is full or cannot be written.
    """
    name = receipt.recording
    if config.channels is not None:
        recording = with_channels(recording, config.channels, name)
    if not recording.data_vars:
        raise InputError(f"{name}: has no channel; give at least one")
    if dims.FRAME in recording.dims and "source" not in recording.coords:
        recording = with_sources(recording, [name], [0] * recording.sizes[dims.FRAME])
    _take_in(
        _timed(recording, config),
        target,
        config=config,
        receipt=receipt,
        compute=compute or ComputeConfig(),
        progress=progress,
        check=_nothing_to_check,
    )


def _take_in(
    recording: xr.Dataset,
    target: Path,
    *,
    config: IngestConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress,
    check: Callable[[], None],
) -> None:
    """Write all blocks, look at what came, and publish; what is refused leaves nothing behind."""
    made = not target.parent.exists()
    growing = store.begin(target, receipt.key)
    try:
        if is_scan(recording):
            recording, surveys = take_in_scan(
                growing, recording, config=config.scan, compute=compute, progress=progress
            )
        else:
            surveys = _take_in_frames(
                growing, recording, config.shard_mb, compute=compute, progress=progress
            )
        _conclude(growing, recording, surveys, config=config, name=receipt.recording)
        check()
        store.publish(growing, target, receipt)
    except InvaeError:
        if growing.exists():
            store.remove(growing)
        if made and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()
        raise


def _take_in_frames(
    growing: Path,
    recording: xr.Dataset,
    shard_mb: float,
    *,
    compute: ComputeConfig,
    progress: Progress,
) -> list[dict[str, Survey]]:
    """Write the channels of images or spectra as they are; what the values of each block are like."""
    shard = _lay_out(growing, recording, shard_mb)
    first = str(next(iter(recording.data_vars.values())).dims[0])
    return map_blocks(
        partial(_write, growing, recording, shard),
        store.blocks(recording.sizes[first], shard),
        compute=compute,
        progress=progress,
    )


def _lay_out(growing: Path, recording: xr.Dataset, shard_mb: float) -> int:
    """Empty arrays and the coordinates; the number of items along the first axis in a shard."""
    variables = {
        str(name): store.Variable(
            tuple(map(str, variable.dims)), variable.shape, variable.dtype, variable.attrs
        )
        for name, variable in recording.data_vars.items()
    }
    shard = store.shard_length(variables, shard_bytes=shard_mb * BYTES_PER_MB)
    coords = recording.drop_vars(list(recording.data_vars)).assign_attrs({COMPLETE: False})
    store.lay_out(growing, variables, shard=shard, coords=coords)
    return shard


def _write(growing: Path, recording: xr.Dataset, shard: int, block: slice) -> dict[str, Survey]:
    """Write one block, channel by channel, unless it is there; what its values are like."""
    surveys = {}
    for name in map(str, recording.data_vars):
        if store.block_is_written(growing, [name], start=block.start, shard=shard):
            array = store.open_group(growing, mode="r")[name]
            assert isinstance(array, zarr.Array)
            values = np.asarray(array[block])
        else:
            values = np.asarray(recording[name].variable[(block, ...)].values)
            store.write_block(growing, {name: values}, start=block.start, shard=shard)
        surveys[name] = Survey.of(values)
    return surveys


def _conclude(
    growing: Path,
    recording: xr.Dataset,
    surveys: Sequence[Mapping[str, Survey]],
    *,
    config: IngestConfig,
    name: str,
) -> None:
    """Note what the channels hold, leave out empty ones if asked to, and mark the store as complete.

    Raises:
        InputError: If no channel says anything.
    """
    total = dict(surveys[0])
    for block in surveys[1:]:
        total = {channel: total[channel].joined(survey) for channel, survey in block.items()}
    remarks = {channel: survey.remark(channel) for channel, survey in total.items()}
    if all(survey.is_constant for survey in total.values()):
        source = ", ".join(recording.attrs.get("sources", [name]))
        raise InputError(
            f"{source}: nothing to analyse: {'; '.join(remarks.values())}; record it again"
        )
    root = store.open_group(growing, mode="r+")
    for channel, survey in total.items():
        if config.drop_constant and survey.is_constant:
            del root[channel]
            remarks[channel] += " and was left out"
            continue
        more = {"n_nan": survey.n_nan, "n_infinite": survey.n_infinite}
        if survey.minimum <= survey.maximum:
            more |= {"actual_range": [survey.minimum, survey.maximum]}
        root[channel].attrs.update(more)
    notes = [*recording.attrs.get("notes", []), *filter(None, remarks.values())]
    root.attrs.update({"notes": notes, COMPLETE: True})


def _timed(recording: xr.Dataset, config: IngestConfig) -> xr.Dataset:
    """The recording with the configured time between frames."""
    if config.frame_interval is None:
        return recording
    if dims.FRAME not in recording.dims:
        raise ConfigError(
            f"ingest.frame_interval is {config.frame_interval:g} s, the recording has no frames "
            f"but {', '.join(map(str, recording.dims))}; leave it empty"
        )
    seconds = np.arange(recording.sizes[dims.FRAME]) * config.frame_interval
    attrs = dims.attrs("time since the first frame", "s")
    return recording.assign_coords(time=(dims.FRAME, seconds, attrs))


def _are_different(receipt: Receipt) -> None:
    """Refuse a series that holds the same content twice, under whatever names."""
    seen: dict[str, str] = {}
    for source in receipt.sources:
        if source.sha256 in seen:
            raise InputError(
                f"{source.name}: has the same content as {seen[source.sha256]}; name it once"
            )
        seen[source.sha256] = source.name


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, or of everything in a store."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        states = [file.stat() for file in files]
    except OSError as error:
        raise InputError(f"{path}: is being changed ({error.strerror}); ingest it later") from error
    return sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0)


def _unchanged(before: Mapping[Path, tuple[int, int]]) -> None:
    """Refuse sources that changed while they were read."""
    for path, state in before.items():
        now = _state(path)
        if now != state:
            raise InputError(
                f"{path}: changed while it was read ({state[0]}, then {now[0]} bytes); wait until "
                "the instrument has finished writing it"
            )


def _nothing_to_check() -> None:
    """A computed recording has no files that could change."""
