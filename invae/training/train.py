"""The train stage: patches and a configuration become a trained model, or the folder of one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from invae.config import ComputeConfig, ModelConfig, TrainingConfig
from invae.models.families import completed, refuse_turns_of_lines
from invae.models.likelihoods import limits_of
from invae.models.signals import IMAGE
from invae.models.vae import VAE
from invae.progress import Progress, silent
from invae.training import distributed
from invae.training.batches import Batches
from invae.training.checkpoint import OnEpoch, ignore, remove_checkpoint
from invae.training.dataset import training_set
from invae.training.device import device_of
from invae.training.distributed import ALONE, Team
from invae.training.initialisation import begins_from_groups
from invae.training.model_folder import Trained, save, save_parts
from invae.training.signal_sources import SignalSource
from invae.training.spectral_axis import SpectralAxis
from invae.training.split import Split, thin
from invae.training.standardisation import SAMPLED_SITES
from invae.training.symptoms import Data, symptoms_of
from invae.training.vae_training import VAETraining

if TYPE_CHECKING:
    from invae.storage.provenance import Receipt

CONTENT_QUANTILES = (0.025, 0.975)


def train(
    patches: Path | Sequence[Path],
    target: Path,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    receipt: "Receipt",
    compute: ComputeConfig,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
) -> None:
    """The stage: descriptors.zarr → model/. If it is killed, the next run goes on from the last checkpoint.

    Where `torchrun` has started several processes, all train and the first one writes.

    Args:
        patches: A finished descriptor store, or several with patches of one kind.
        target: Folder of the model, which appears when the training is complete.
        model: Configuration of the model.
        training: Configuration of the training.
        seed: Of weights, order, noise and held-out blocks.
        receipt: Of this stage.
        compute: Device, and how many pieces of a batch are computed at a time.
        progress: Called with the number of finished epochs.
        on_epoch: Called with every epoch, for a live curve.

    Raises:
        InputError: The patches cannot be used for training.
        TrainingDiverged: The loss became infinite or not a number.
    """
    from invae.storage import store

    paths = [patches] if isinstance(patches, Path) else list(patches)
    data = training_set(
        paths, limits={IMAGE: limits_of(model.likelihood)}, share=training.held_out, seed=seed
    )
    device = device_of(compute.device)
    with store.writing(target), distributed.team(device) as team:
        partial = _begin(target, receipt.key, team)
        trained = train_on(
            data.source,
            data.split,
            model=model,
            training=training,
            seed=seed,
            device=device,
            channels=data.channels,
            pixel_size_nm=data.pixel_size_nm,
            axis=data.axis,
            checkpoints=partial,
            progress=progress,
            on_epoch=on_epoch,
            team=team,
            workers=compute.workers,
        )
        if team.leads:
            save(partial, trained)
            save_parts(partial, data.parts)
            remove_checkpoint(partial)
            store.publish(partial, target, receipt)


def _begin(target: Path, key: str, team: Team) -> Path:
    """The hidden folder in which the model grows; the first process makes it, the others wait for it."""
    from invae.storage import store

    if team.leads:
        store.begin(target, key)
    team.wait()
    return store.begin(target, key)


def train_on(
    source: SignalSource,
    split: Split,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    device: torch.device,
    channels: tuple[str, ...],
    pixel_size_nm: float | None = None,
    axis: SpectralAxis | None = None,
    checkpoints: Path | None = None,
    progress: Progress = silent,
    on_epoch: OnEpoch = ignore,
    team: Team = ALONE,
    workers: int | None = None,
) -> Trained:
    """A model trained on some sites of a source; with a folder for checkpoints it goes on from the last one.

    `workers` pieces of a batch are computed at a time, or as many as there are cores; values do not depend on it.

    Raises:
        ConfigError: The family turns or shears patches of one row, such as spectra.
    """
    split = Split(thin(split.training, training.max_patches), split.held_out)
    known = source.known
    config = completed(
        model,
        n_classes=known.n_labels,
        n_targets=known.n_targets,
        n_conditions=known.n_conditions,
    )
    refuse_turns_of_lines(config, source.geometries[IMAGE])
    run = VAETraining(source, split, training, seed, device, checkpoints, progress, team, workers)
    in_two = begins_from_groups(config, training, n_sites=len(split.training))
    made = (run.from_groups if in_two else run.from_fresh_weights)(config, on_epoch)
    run.orient(made.model, made.config)
    batches, vae = run.batches(split.training), made.model.eval()
    return Trained(
        model=vae,
        config=made.config,
        channels=channels,
        pixel_size_nm=pixel_size_nm,
        axis=axis,
        content_range=content_range(vae, batches),
        seed=seed,
        history=made.history,
        split=split,
        training=training,
        symptoms=symptoms_of(
            vae,
            Data(batches, split),
            config=made.config,
            n_asked=math.prod(config.n_classes),
            start=made.start,
            history=made.history,
        ),
        start=made.start,
    )


@torch.no_grad()
def content_range(model: VAE, batches: Batches) -> tuple[tuple[float, float], ...]:
    """Range of the content of the training sites, by dimension: two quantiles."""
    sample = Batches(
        batches.source, thin(batches.sites, SAMPLED_SITES), batches.batch_size, batches.device
    )
    means = torch.cat([model.infer(batch).latents["content"].cpu() for batch in sample.in_order()])
    low, high = np.quantile(means.numpy(), CONTENT_QUANTILES, axis=0)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
