"""The describe stage: recording.zarr → descriptors.zarr, by the kind of its configuration."""

from pathlib import Path

from invae.config import ComputeConfig, DescribeConfig
from invae.config.kinds import kind_of, load
from invae.progress import Progress, silent
from invae.storage.provenance import Receipt


def describe(
    recording: Path,
    target: Path,
    *,
    config: DescribeConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write the patches of a recording, and further groups of its kind, as a store.

    Root group: `patch` and `valid (site, channel, patch_y, patch_x)`, and the coordinates of every
    site. Walls add the groups `maps` and `contours`, atoms the group `atoms`.

    Args:
        recording: the ingested recording, a Zarr store.
        target: the store to make.
        config: what to extract.
        receipt: of the store.
        compute: where blocks run.
        progress: called with the percentage done.

    Raises:
        InputError: the recording lacks the signals that the configuration needs.
        ConfigError: the configuration does not fit the recording.
    """
    make_patches = load(kind_of(config).describe)
    make_patches(
        recording, target, config=config, receipt=receipt, compute=compute, progress=progress
    )
