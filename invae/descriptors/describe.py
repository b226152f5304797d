"""The describe stage: recording.zarr → descriptors.zarr, as the kind of its configuration says."""

from collections.abc import Callable, Mapping
from pathlib import Path

from invae.config import (
    AtomsConfig,
    ComputeConfig,
    DenseConfig,
    DescribeConfig,
    ImagesConfig,
    PatternsConfig,
    WallsConfig,
)
from invae.descriptors.atoms.patches import describe_atoms
from invae.descriptors.dense_patches import describe_dense
from invae.descriptors.diffraction.patches import describe_patterns
from invae.descriptors.domains.patches import describe_walls
from invae.descriptors.image_patches import describe_images
from invae.progress import Progress, silent
from invae.storage.provenance import Receipt

KINDS: Mapping[type, Callable[..., None]] = {
    WallsConfig: describe_walls,
    ImagesConfig: describe_images,
    AtomsConfig: describe_atoms,
    DenseConfig: describe_dense,
    PatternsConfig: describe_patterns,
}
"""What makes the patches, by the configuration of its kind."""


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
    KINDS[type(config)](
        recording, target, config=config, receipt=receipt, compute=compute, progress=progress
    )
