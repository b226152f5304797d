"""The train stage of models of pairs: descriptors.zarr → model/."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invae.config import ComputeConfig, TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import ConfigError
from invae.pairs import folder
from invae.pairs.data import pairs_of
from invae.pairs.fitting import Learning, fit
from invae.progress import Progress, silent
from invae.training.checkpoint import OnEpoch, ignore
from invae.training.device import device_of
from invae.training.distributed import team

if TYPE_CHECKING:
    from invae.storage.provenance import Receipt

CHECKPOINTS = "checkpoints"
"""Folder of the growing model with the checkpoints of all members."""


def train(
    patches: Path | Sequence[Path],
    target: Path,
    *,
    model: PairsModelConfig,
    training: TrainingConfig,
    seed: int,
    receipt: "Receipt",
    compute: ComputeConfig,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> None:
    """The stage: descriptors.zarr → model/. If it is killed, the next run goes on from the last checkpoints of the members.

    Args:
        patches: A finished descriptor store of pairs.
        target: Folder of the model, which appears when the training is complete.
        model: Configuration of the model.
        training: Configuration of the training.
        seed: Of folds, weights, order and noise.
        receipt: Of this stage.
        compute: Device, and how many members are trained at a time.
        progress: Called with percent and 100.
        on_epoch: Called with every epoch of every member, those with held-out pairs first.

    Raises:
        ConfigError: There are several stores, or several processes.
        InputError: The pairs cannot be learned from.
        TrainingDiverged: The loss became infinite or not a number.
    """
    from invae.storage import store

    paths = [patches] if isinstance(patches, Path) else list(patches)
    if len(paths) != 1:
        raise ConfigError(
            f"{len(paths)} recordings were given; a model of pairs learns from one, so give one series"
        )
    given = pairs_of(paths[0])
    device = device_of(compute.device)
    with store.writing(target), team(device) as processes:
        if processes.size > 1:
            raise ConfigError("models of pairs are trained by one process; start without torchrun")
        partial = store.begin(target, receipt.key)
        checkpoints = partial / CHECKPOINTS
        learning = Learning(
            model, training, seed, device, checkpoints, on_epoch, workers=compute.workers
        )
        folder.save(partial, fit(given, learning, progress=progress))
        if checkpoints.exists():
            store.remove(checkpoints)
        store.publish(partial, target, receipt)
