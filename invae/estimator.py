"""`InvariantVAE`: arrays in, labelled latents out; thin, the flows use the same parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import ValidationError

from invae import dims, embed
from invae.config import ModelConfig, TrainingConfig
from invae.config.model import (
    DecoderConfig,
    EncoderConfig,
    Family,
    NoiseConfig,
    PoseInference,
    RotationConfig,
    TranslationConfig,
)
from invae.errors import ConfigError, InputError
from invae.models.likelihoods import Limits
from invae.progress import Progress, silent
from invae.training import saved
from invae.training.batches import ArraySource, Batches, PatchSource, open_patches
from invae.training.checkpoint import device_of
from invae.training.fit import Epoch
from invae.training.saved import Trained
from invae.training.split import split_sites
from invae.training.train import (
    OnEpoch,
    channels_of,
    ignore,
    limits_of,
    split_store,
    train_on,
)

Data = np.ndarray | xr.DataArray | str | Path
"""Patches (site, y, x) or (site, channel, y, x), or the path of a store that holds them."""

IMAGE = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
BATCH = 512


class InvariantVAE:
    """An invariant variational autoencoder for patches.

    Example:
        >>> import numpy as np
        >>> patches = np.random.default_rng(0).normal(size=(40, 16, 16))
        >>> vae = InvariantVAE(family="rVAE", training={"epochs": 1}).fit(patches)
        >>> vae.encode(patches)["angle"].dims
        ('site',)
    """

    def __init__(
        self,
        family: Family = "rVAE",
        *,
        latent_dim: int = 2,
        n_classes: int | None = None,
        pose_inference: PoseInference = "exact",
        seed: int = 0,
        rotation: RotationConfig | Mapping[str, Any] | None = None,
        translation: TranslationConfig | Mapping[str, Any] | None = None,
        encoder: EncoderConfig | Mapping[str, Any] | None = None,
        decoder: DecoderConfig | Mapping[str, Any] | None = None,
        likelihood: NoiseConfig | Mapping[str, Any] | None = None,
        beta: float = 1.0,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        """Choose a model; sections may be given as configurations or as plain mappings.

        Args:
            family: AE, VAE, rVAE (rotation), tVAE (shift) or rtVAE (both).
            latent_dim: Number of content dimensions.
            n_classes: For families with classes; none of the present ones has any.
            pose_inference: How the angle is inferred, `exact` or `amortised`.
            seed: Weights, order of the patches, noise and held-out sites follow from it.
            rotation: Prior and grid of the angle.
            translation: Prior of the shift.
            encoder: Instead of the family's own choice.
            decoder: Instead of the family's own choice.
            likelihood: How pixels scatter; Gaussian of learned sd when empty.
            beta: Weight of the content's KL divergence.
            training: Epochs, batches, learning rate, held-out share, …
            device: auto, cpu or cuda.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        if n_classes is not None:
            raise ConfigError(f"family {family!r} has no classes; leave n_classes out")
        given = {
            "family": family,
            "latent_dim": latent_dim,
            "pose_inference": pose_inference,
            "rotation": rotation,
            "translation": translation,
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "beta": beta,
        }
        try:
            self.config = ModelConfig.model_validate(
                {name: value for name, value in given.items() if value is not None}
            )
            self.training = TrainingConfig.model_validate(training or {})
        except ValidationError as error:
            raise ConfigError(_one_line(error)) from error
        self.seed, self.device = seed, device_of(device)
        self._trained: Trained | None = None

    def fit(
        self,
        patches: Data,
        *,
        valid: np.ndarray | None = None,
        progress: Progress = silent,
        on_epoch: OnEpoch = ignore,
    ) -> "InvariantVAE":
        """Train from fresh weights; returns the estimator itself.

        Patches from a store are held out by blocks of space and time, others one by one.

        Args:
            patches: (site, y, x), (site, channel, y, x) or the path of a store.
            valid: Mask of the same shape, True where a pixel counts; a store has its own.
            progress: Told the epochs done.
            on_epoch: Told every epoch.

        Raises:
            InputError: The patches cannot be trained on.
            TrainingDiverged: The loss became infinite or not a number.
        """
        source, told = _source(patches, valid, limits=limits_of(self.config))
        share = self.training.held_out
        if told is None:
            split = split_sites(len(source), share=share, seed=self.seed)
            channels = tuple(str(n) for n in range(source.geometry.n_channels))
        else:
            split = split_store(told, share=share, seed=self.seed)
            channels = channels_of(told)
        self._trained = train_on(
            source,
            split,
            model=self.config,
            training=self.training,
            seed=self.seed,
            device=self.device,
            channels=channels,
            pixel_size_nm=None if told is None else told.attrs.get("pixel_size_nm"),
            progress=progress,
            on_epoch=on_epoch,
        )
        return self

    def encode(self, patches: Data, *, valid: np.ndarray | None = None) -> xr.Dataset:
        """Latents of every patch (`invae.embed.VARIABLES`), with the coordinates the patches came with."""
        source, told = _source(patches, valid, limits=limits_of(self.config))
        self.trained.refuse_other(source.geometry)
        batches = Batches(source, np.arange(len(source)), BATCH, self.device)
        values = embed.encode_batches(self.trained.model, batches)
        coords = {} if told is None else embed.site_coordinates(told)
        return embed.dataset_of(values, coords=coords)

    @torch.no_grad()
    def decode(
        self,
        content: np.ndarray | xr.DataArray,
        *,
        class_: np.ndarray | None = None,
        angle: np.ndarray | xr.DataArray | None = None,
        shift: np.ndarray | xr.DataArray | None = None,
    ) -> xr.DataArray:
        """Expected patches (site, channel, patch_y, patch_x) in the units of the data.

        Args:
            content: (site, latent), or (latent,) for one patch.
            class_: For families with classes.
            angle: (site,) [rad]; 0 when empty.
            shift: (site, axis) [pixel], y then x; 0 when empty.

        Raises:
            InputError: A latent is given that the family does not have, or has another shape.
        """
        if class_ is not None:
            raise InputError(f"family {self.config.family} has no classes; leave class_ out")
        known = np.atleast_2d(np.asarray(content, dtype=np.float32))
        n_sites, unit = len(known), self.trained.model.geometry.half_side
        latents = {"content": _checked("content", known, (n_sites, self.config.latent_dim))}
        for name, size, value, scale in (("angle", 1, angle, 1.0), ("shift", 2, shift, unit)):
            if name in self.trained.model.poses:
                given = np.zeros((n_sites, size)) if value is None else np.asarray(value)
                latents[name] = _checked(name, given, (n_sites, size)) / scale
            elif value is not None:
                raise InputError(f"family {self.config.family} has no {name}; leave it out")
        placed = {name: value.to(self.device) for name, value in latents.items()}
        images = self.trained.model.decode(placed).mean.cpu().numpy()
        return xr.DataArray(
            images, dims=dims.PATCH, coords={dims.CHANNEL: list(self.trained.channels)}
        )

    def traversal(self, steps: int = 9) -> xr.DataArray:
        """Upright, centred patches over the content's range: (class, latent_1, latent_2, channel, y, x).

        The range holds 95 % of the training sites in every dimension; dimensions beyond the second stay at its middle.
        With one content dimension there is no latent_2; a family without classes has one class.
        """
        limits = self.trained.content_range
        axes = [np.linspace(low, high, steps) for low, high in limits[:2]]
        grid = np.tile([(low + high) / 2 for low, high in limits], (steps ** len(axes), 1))
        for column, mesh in enumerate(np.meshgrid(*axes, indexing="ij")):
            grid[:, column] = mesh.ravel()
        images = self.decode(grid)
        names = [f"latent_{number}" for number in range(1, len(axes) + 1)]
        return xr.DataArray(
            images.to_numpy().reshape(1, *[steps] * len(axes), *images.shape[1:]),
            dims=(dims.CLASS, *names, dims.CHANNEL, dims.Y, dims.X),
            coords={**dict(zip(names, axes, strict=True)), dims.CHANNEL: images[dims.CHANNEL]},
        )

    def save(self, path: str | Path) -> None:
        """Write the model into a folder: safetensors and JSON, priors and scales included."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        saved.save(folder, self.trained)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "InvariantVAE":
        """The estimator of a folder, or of the `model/` of a run.

        Raises:
            StoreError: There is no model in it.
        """
        trained = saved.load(Path(path), device=device_of(device))
        vae = cls(trained.config.family, seed=trained.seed, device=device)
        vae.config, vae._trained = trained.config, trained
        return vae

    @property
    def history(self) -> list[Epoch]:
        """What every epoch came to."""
        return list(self.trained.history)

    @property
    def trained(self) -> Trained:
        """The trained model.

        Raises:
            InputError: There is none yet.
        """
        if self._trained is None:
            raise InputError("this model has seen no data; call fit or load first")
        return self._trained


def _source(
    patches: Data, valid: np.ndarray | None, *, limits: Limits | None
) -> tuple[PatchSource, xr.Dataset | None]:
    """Patches to read from, and the labels they came with."""
    if isinstance(patches, str | Path):
        if valid is not None:
            raise InputError(f"{patches} has its own mask; leave `valid` out")
        from invae import store  # only a path needs zarr

        return open_patches(Path(patches), limits=limits), store.open_store(patches)
    values = np.asarray(patches)
    if values.ndim == 3:
        values = values[:, None]
        valid = None if valid is None else np.asarray(valid)[:, None]
    source = ArraySource(values, valid, limits=limits)
    if not isinstance(patches, xr.DataArray):
        return source, None
    names = dims.PATCH if patches.ndim == 4 else (dims.SITE, *IMAGE[1:])
    told = patches.rename(dict(zip(patches.dims, names, strict=True)))
    told = told if patches.ndim == 4 else told.expand_dims(dims.CHANNEL, axis=1)
    return source, told.to_dataset(name="patch")


def _checked(name: str, values: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    values = np.asarray(values, dtype=np.float32)
    if values.size != np.prod(shape) or not np.isfinite(values).all():
        raise InputError(f"{name} has shape {values.shape}; finite values of {shape} are needed")
    return torch.from_numpy(values.reshape(shape).copy())


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']} (given {first['input']!r})"
