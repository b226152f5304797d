"""From the instrument's files to `recording.zarr`: written block by block, resumed by shard, published complete."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from invae import dims
from invae.config import ComputeConfig, IngestConfig
from invae.errors import ConfigError, InputError, InvaeError
from invae.progress import Progress, silent
from invae.readers import Scan, files_of, open_recording, own_files_of, with_channels
from invae.readers.ingest_scan import is_scan, store_scan
from invae.readers.own_files import Mark, mark_of
from invae.readers.recording import COMPLETE, with_sources
from invae.readers.spectra import spectral_dims
from invae.readers.value_statistics import ValueStatistics
from invae.storage import store
from invae.storage.blocks import map_blocks
from invae.storage.provenance import Receipt

BYTES_PER_MB = 1e6


@dataclass(frozen=True)
class Part:
    """Channels that are written together, since they have the same first axis."""

    names: tuple[str, ...]
    shard: int
    """Length of a shard along the first axis."""


def ingest(
    sources: Sequence[Path],
    target: Path,
    *,
    config: IngestConfig,
    receipt: Receipt,
    compute: ComputeConfig | None = None,
    progress: Progress = silent,
    inside: Path | None = None,
    accept: Callable[[xr.Dataset], None] | None = None,
) -> None:
    """Store files that make one recording.

    Args:
        sources: One file, or the files of a series.
        target: The store; an older one is replaced when the new one is complete.
        config: Channels, order and calibration.
        receipt: Written onto the finished store; its key names the unfinished one.
        compute: Where the blocks run.
        progress: Called with the number of finished blocks.
        inside: Folder that no link among the files may leave; without one, a source itself may be a link.
        accept: Called with the opened recording before anything is written; may refuse it.

    Raises:
        ConfigError: If the configuration does not match the recording.
        InputError: If a file is broken, not part of the series, still being written, lies elsewhere, or holds no information.
        StoreError: If the disk is full or cannot be written.
    """
    paths = [Path(source) for source in sources]
    _refuse_duplicates(receipt)
    files = dict.fromkeys(file for path in paths if path.exists() for file in files_of(path))
    before = {file: _mark(file) for file in files}
    for path in paths:  # after the marks: whatever is swapped from now on changes one
        own_files_of(path, folder=inside)
    recording = opened(paths, config)
    if accept is not None:
        accept(recording)
    _store(
        _timed(recording, config),
        target,
        config=config,
        receipt=receipt,
        compute=compute or ComputeConfig(),
        progress=progress,
        check=partial(_unchanged, before),
    )


def opened(paths: Sequence[Path], config: IngestConfig) -> xr.Dataset:
    """The recording of some files, lazily, as the configuration has them read.

    Raises:
        ConfigError: If the configuration does not match the recording.
        InputError: If a file is missing, broken or no recording.
    """
    return open_recording(
        paths,
        format=config.format,
        order=config.order,
        pixel_size=config.pixel_size,
        channels=config.channels,
        scan=Scan(config.scan_shape, config.scan_order, config.flyback),
        names=config.dims,
        orientation=config.orientation,
        other_areas=config.other_areas,
        dataset=config.dataset,
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
    """Store a recording that is not in a file: it is computed when read, lazily or by Dask.

    Dims, coordinates and attributes must be those of `open_recording`; memory holds a few shards.

    Raises:
        ConfigError: If the configuration does not match the recording.
        InputError: If the recording holds no information.
        StoreError: If the disk is full or cannot be written.
    """
    name = receipt.recording
    if config.channels is not None:
        recording = with_channels(recording, config.channels, name)
    if not recording.data_vars:
        raise InputError(f"{name}: has no channel; give at least one")
    if dims.FRAME in recording.dims and "source" not in recording.coords:
        recording = with_sources(recording, [name], [0] * recording.sizes[dims.FRAME])
    _store(
        _timed(recording, config),
        target,
        config=config,
        receipt=receipt,
        compute=compute or ComputeConfig(),
        progress=progress,
        check=_nothing_to_check,
    )


def _store(
    recording: xr.Dataset,
    target: Path,
    *,
    config: IngestConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress,
    check: Callable[[], None],
) -> None:
    """Write all blocks, check them, and publish; a refused recording leaves nothing behind."""
    folder_is_new = not target.parent.exists()
    partial_store = store.begin(target, receipt.key)
    try:
        if is_scan(recording):
            recording, statistics = store_scan(
                partial_store, recording, config=config.scan, compute=compute, progress=progress
            )
        else:
            statistics = _store_frames(
                partial_store, recording, config.shard_mb, compute=compute, progress=progress
            )
        _finish(partial_store, recording, statistics, config=config, name=receipt.recording)
        check()
        store.publish(partial_store, target, receipt)
    except InvaeError:
        if partial_store.exists():
            store.remove(partial_store)
        if folder_is_new and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()
        raise


def _store_frames(
    partial_store: Path,
    recording: xr.Dataset,
    shard_mb: float,
    *,
    compute: ComputeConfig,
    progress: Progress,
) -> list[dict[str, ValueStatistics]]:
    """Write the channels of images or spectra; returns the statistics of the values of each block."""
    parts = [
        Part(names, _lay_out(partial_store, recording, names, shard_mb))
        for names in _by_first_dim(recording)
    ]
    blocks = [
        (part, block)
        for part in parts
        for block in store.blocks(len(recording[part.names[0]]), part.shard)
    ]
    return map_blocks(
        partial(_write, partial_store, recording), blocks, compute=compute, progress=progress
    )


def _by_first_dim(recording: xr.Dataset) -> list[tuple[str, ...]]:
    """Names of the channels that are written together: those with the same first axis."""
    parts: dict[str, list[str]] = {}
    for name, variable in recording.data_vars.items():
        parts.setdefault(str(variable.dims[0]), []).append(str(name))
    return [tuple(names) for names in parts.values()]


def _lay_out(
    partial_store: Path, recording: xr.Dataset, names: Sequence[str], shard_mb: float
) -> int:
    """Create empty arrays and the coordinates; returns the length of a shard along the first axis."""
    variables = {
        str(name): store.Variable(
            tuple(map(str, variable.dims)), variable.shape, variable.dtype, variable.attrs
        )
        for name, variable in recording[list(names)].data_vars.items()
    }
    shard = store.shard_length(variables, shard_bytes=shard_mb * BYTES_PER_MB)
    coords = recording.drop_vars(list(recording.data_vars)).assign_attrs({COMPLETE: False})
    store.lay_out(partial_store, variables, shard=shard, coords=coords)
    return shard


def _write(
    partial_store: Path, recording: xr.Dataset, part_and_block: tuple[Part, slice]
) -> dict[str, ValueStatistics]:
    """Write one block, channel by channel, unless it is written; returns the statistics of its values."""
    part, block = part_and_block
    shard = part.shard
    statistics = {}
    for name in part.names:
        if store.block_is_written(partial_store, [name], start=block.start, shard=shard):
            array = store.open_group(partial_store, mode="r")[name]
            assert isinstance(array, zarr.Array)
            values = np.asarray(array[block])
        else:
            values = np.asarray(recording[name].variable[(block, ...)].values)
            store.write_block(partial_store, {name: values}, start=block.start, shard=shard)
        statistics[name] = ValueStatistics.of(values)
    return statistics


def _finish(
    partial_store: Path,
    recording: xr.Dataset,
    statistics: Sequence[Mapping[str, ValueStatistics]],
    *,
    config: IngestConfig,
    name: str,
) -> None:
    """Add notes on the channels, remove constant ones if configured, and mark the store as complete.

    Raises:
        InputError: If all channels are constant.
    """
    total: dict[str, ValueStatistics] = {}
    for block in statistics:
        for channel, part in block.items():
            total[channel] = total[channel].joined(part) if channel in total else part
    remarks = {channel: values.remark(channel) for channel, values in total.items()}
    needed = _spectra(recording) or list(total)
    if all(total[channel].is_constant for channel in needed):
        source = ", ".join(recording.attrs.get("sources", [name]))
        reasons = "; ".join(remarks[channel] for channel in needed)
        raise InputError(f"{source}: nothing to analyse: {reasons}; record it again")
    root = store.open_group(partial_store, mode="r+")
    for channel, values in total.items():
        if config.drop_constant and values.is_constant:
            del root[channel]
            remarks[channel] += " and was left out"
            continue
        attrs = {"n_nan": values.n_nan, "n_infinite": values.n_infinite}
        if values.minimum <= values.maximum:
            attrs |= {"actual_range": [values.minimum, values.maximum]}
            attrs |= {"typical_range": list(values.typical_range)}
        root[channel].attrs.update(attrs)
    notes = [*recording.attrs.get("notes", []), *filter(None, remarks.values())]
    root.attrs.update({"notes": notes, COMPLETE: True})


def _spectra(recording: xr.Dataset) -> list[str]:
    """Names of the channels that hold spectra."""
    return [
        str(name)
        for name, variable in recording.data_vars.items()
        if spectral_dims(tuple(map(str, variable.dims)))
    ]


def _timed(recording: xr.Dataset, config: IngestConfig) -> xr.Dataset:
    """The recording with the configured time between frames."""
    if config.frame_interval is None:
        return recording
    if dims.FRAME not in recording.dims:
        raise ConfigError(
            f"ingest.frame_interval is {config.frame_interval:g} s, but the recording has no frames, "
            f"only {', '.join(map(str, recording.dims))}; leave it empty"
        )
    seconds = np.arange(recording.sizes[dims.FRAME]) * config.frame_interval
    attrs = dims.attrs("time since the first frame", "s")
    return recording.assign_coords(time=(dims.FRAME, seconds, attrs))


def _refuse_duplicates(receipt: Receipt) -> None:
    """Refuse a series with the same content twice under different names.

    Raises:
        InputError: With both names.
    """
    first_names: dict[str, str] = {}
    for source in receipt.sources:
        if source.sha256 in first_names:
            raise InputError(
                f"{source.name}: has the same content as {first_names[source.sha256]}; name it once"
            )
        first_names[source.sha256] = source.name


def _mark(path: Path) -> Mark:
    try:
        return mark_of(path)
    except OSError as error:
        raise InputError(f"{path}: is being changed ({error.strerror}); ingest it later") from error


def _unchanged(before: Mapping[Path, Mark]) -> None:
    """Refuse sources that changed, or were swapped, while they were read.

    Raises:
        InputError: With both sizes.
    """
    for path, mark in before.items():
        now = _mark(path)
        if now != mark:
            raise InputError(
                f"{path}: changed while it was read ({mark.n_bytes}, then {now.n_bytes} bytes); wait until "
                "the instrument has finished writing it"
            )


def _nothing_to_check() -> None:
    """A computed recording has no files that could change."""
