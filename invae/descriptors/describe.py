"""The describe stage: recording.zarr → descriptors.zarr, as the kind of its configuration says."""

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
    """The patches of a recording, as a store; beside them what else its kind finds.

    Root group: `patch` and `valid (site, channel, patch_y, patch_x)`, and coordinates that say
    where every site is. Walls add the groups `maps` and `contours`, atoms the group `atoms`.

    Args:
        recording: the ingested recording, a Zarr store.
        target: the store to make.
        config: what to extract.
        receipt: what it is made from.
        compute: where blocks run.
        progress: told the percentage done.

    Raises:
        InputError: the recording does not have what is to be described.
        ConfigError: the configuration does not fit the recording.
    """
    make_patches = load(kind_of(config).describe)
    make_patches(
        recording, target, config=config, receipt=receipt, compute=compute, progress=progress
    )
