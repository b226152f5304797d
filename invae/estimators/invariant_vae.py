"""`InvariantVAE`: arrays in, labelled latents out. The flows use the same parts without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError

from invae import dims
from invae.config import ModelConfig, TrainingConfig
from invae.config.family import PoseInference
from invae.config.model import (
    ClassInference,
    DecoderConfig,
    EncoderConfig,
    NoiseConfig,
    RotationConfig,
    ScalingConfig,
    SearchConfig,
    ShearingConfig,
    TranslationConfig,
)
from invae.config.objective import ObjectiveConfig
from invae.dims import flags
from invae.embedding import embed
from invae.embedding.counting_noise import counting_noise
from invae.errors import ConfigError, InputError
from invae.estimators import decoding, plots
from invae.estimators.estimator import SavedEstimator
from invae.estimators.inputs import (
    Data,
    condition_columns,
    numbers_of,
    refuse_ambiguous,
    refuse_mask,
    several,
    source_of,
)
from invae.estimators.labels import numbered, read_names, write_names
from invae.estimators.progress_bar import progress_bar
from invae.models.families import family_of, refuse_idle
from invae.models.latents import ClassPrior
from invae.models.likelihoods import limits_of
from invae.models.signals import IMAGE
from invae.progress import Progress
from invae.training import model_folder
from invae.training.annotations import checked_annotations
from invae.training.batches import Batches
from invae.training.dataset import TrainingSet, channels_of, split_store, training_set
from invae.training.device import device_of, one_thread
from invae.training.history import Epoch
from invae.training.model_folder import Trained, refuse_other_axis
from invae.training.signal_sources import SignalSource
from invae.training.spectral_axis import spectral_axis_of
from invae.training.split import split_sites
from invae.training.train import OnEpoch, ignore, train_on
from invae.verdict.checks import verdict_on
from invae.verdict.findings import Verdict

if TYPE_CHECKING:
    import xarray as xr

BATCH = 512
SETTINGS = (
    "family",
    "latent_dim",
    "n_classes",
    "pose_inference",
    "class_inference",
    "poses",
    "rotation",
    "translation",
    "scaling",
    "shearing",
    "pose_priors",
    "search",
    "encoder",
    "decoder",
    "likelihood",
    "beta",
    "objective",
)
"""Arguments of `InvariantVAE` that are settings of the model."""
DECODED = (dims.SITE, dims.CHANNEL, dims.Y, dims.X)
FOREIGN = (dims.SITE, dims.PATCH_Y, dims.PATCH_X)


class InvariantVAE(SavedEstimator):
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
        family: str = "rVAE",
        *,
        latent_dim: int = 2,
        n_classes: int | tuple[int, ...] | None = None,
        pose_inference: PoseInference | None = None,
        class_inference: ClassInference | None = None,
        seed: int = 0,
        poses: Sequence[str] | None = None,
        rotation: RotationConfig | Mapping[str, Any] | None = None,
        translation: TranslationConfig | Mapping[str, Any] | None = None,
        scaling: ScalingConfig | Mapping[str, Any] | None = None,
        shearing: ShearingConfig | Mapping[str, Any] | None = None,
        pose_priors: Mapping[str, float] | None = None,
        search: SearchConfig | Mapping[str, Any] | None = None,
        encoder: EncoderConfig | Mapping[str, Any] | None = None,
        decoder: DecoderConfig | Mapping[str, Any] | None = None,
        likelihood: NoiseConfig | Mapping[str, Any] | None = None,
        beta: float = 1.0,
        objective: ObjectiveConfig | Mapping[str, Any] | None = None,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
        verbose: int = 1,
    ) -> None:
        """Choose a model; sections may be given as configurations or as plain mappings.

        Args:
            family: Such as rVAE (rotation), tVAE (shift), rtVAE (both), affineVAE, jrVAE (classes), ssrVAE (classes with
                some labels), crVAE (condition), AVAE (pose searched for); `invae.config.family.families()` names all. Or
                `module:NAME` for one of your own.
            latent_dim: Number of content dimensions.
            n_classes: For families with classes; from the labels when empty. Several numbers for several discrete latents.
            pose_inference: How the pose is inferred, `exact`, `amortised` or `refined`; the family's own way when empty.
            class_inference: How classes are inferred, `exact` or `gumbel`.
            seed: Weights, order of the patches, noise and held-out sites follow from it.
            poses: Instead of the family's own: names that `invae.latent_table.poses()` lists, such as rotation and shift.
            rotation: Prior and grid of the angle.
            translation: Prior of the shift.
            scaling: Prior of the magnification.
            shearing: Prior of the shear.
            pose_priors: Sd of the prior of a pose without a section of its own, by its name.
            search: Of refined inference.
            encoder: Instead of the family's own choice.
            decoder: Instead of the family's own choice.
            likelihood: How pixels scatter; Gaussian of learned sd when empty.
            beta: Weight of the content's KL divergence.
            objective: Schedules, capacities and penalties.
            training: Epochs, batches, learning rate, held-out share, …
            device: auto, cpu or cuda.
            verbose: 1 shows the progress of the training as a bar, in terminals and notebooks; 0 does not.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        arguments = locals()
        given = {name: arguments[name] for name in SETTINGS}
        try:
            self.config = ModelConfig.model_validate(
                {name: value for name, value in given.items() if value is not None}
            )
            self.training = TrainingConfig.model_validate(training or {})
        except ValidationError as error:
            raise ConfigError(_one_line(error)) from error
        refuse_idle(self.config)
        self.seed, self.device, self.verbose = seed, device_of(device), verbose
        self._trained: Trained | None = None
        self.class_names: tuple[str, ...] = ()

    @one_thread()
    def fit(
        self,
        patches: Data,
        y: np.ndarray | xr.DataArray | None = None,
        *,
        dims: Sequence[str] | None = None,
        valid: np.ndarray | None = None,
        condition: np.ndarray | xr.DataArray | None = None,
        progress: Progress | None = None,
        on_epoch: OnEpoch = ignore,
    ) -> InvariantVAE:
        """Train from fresh weights; returns the estimator itself.

        Patches from a store are held out by blocks of space and time, others one by one.

        Args:
            patches: (site, y, x), (site, channel, y, x), spectra (site, x), or the path of a store; a list of
                paths is one training set, streamed where it is large, with blocks held out of every store.
            dims: Names of the axes of a plain array in another order: `site`, `channel`, `y`, `x`; a labelled array has its own.
            valid: Mask of the same shape, True where a pixel counts; a store has its own.
            y: Labels of families ss…: classes (site,) as numbers, −1 unknown, or as words or categories of pandas, which `encode`
                names then; or, for ssreg… and for penalties, values (site,) or
                (site, target), NaN unknown. A store may have its own `labels` and `target`.
            condition: For families c…: values (site,) or (site, condition), or classes as whole numbers.
            progress: Called with the finished epochs, in place of the bar.
            on_epoch: Called with every epoch.

        Raises:
            InputError: The patches cannot be trained on.
            TrainingDiverged: The loss became infinite or not a number.
        """
        data = self._training_set(patches, valid, dims)
        self.class_names = ()
        if y is not None and family_of(self.config.family).classes:
            y, self.class_names = numbered(y)
        source = self._annotated(data.source, y=y, condition=condition)
        with progress_bar(progress, verbose=self.verbose, unit="epoch") as shown:
            self._trained = train_on(
                source,
                data.split,
                model=self.config,
                training=self.training,
                seed=self.seed,
                device=self.device,
                channels=data.channels,
                pixel_size_nm=data.pixel_size_nm,
                axis=data.axis,
                progress=shown,
                on_epoch=on_epoch,
            )
        return self

    def _training_set(
        self, patches: Data, valid: np.ndarray | None, names: Sequence[str] | None
    ) -> TrainingSet:
        """The training set, with its held-out sites."""
        limits = {IMAGE: limits_of(self.config.likelihood)}
        share = self.training.held_out
        if paths := several(patches):
            refuse_mask(patches, valid)
            return training_set(paths, limits=limits, share=share, seed=self.seed)
        if names is None:
            refuse_ambiguous(patches)
        source, dataset = source_of(patches, valid, limits=limits, names=names)
        if dataset is None:
            split = split_sites(len(source), share=share, seed=self.seed)
            channels = tuple(str(n) for n in range(source.geometries[IMAGE].n_channels))
            return TrainingSet(source, split, channels, None, ())
        split, pixel = (
            split_store(dataset, share=share, seed=self.seed),
            dataset.attrs.get("pixel_size_nm"),
        )
        axis = spectral_axis_of(dataset)
        return TrainingSet(source, split, channels_of(dataset), pixel, (), axis)

    @one_thread()
    def encode(
        self,
        patches: Data,
        *,
        dims: Sequence[str] | None = None,
        valid: np.ndarray | None = None,
        condition: np.ndarray | xr.DataArray | None = None,
    ) -> xr.Dataset:
        """Latents of every patch (`invae.latent_table`), with the coordinates the patches came with.

        Sites of several stores follow each other; their coordinate `source` counts on from store to store. `dims` as in `fit`.
        """
        if paths := several(patches):
            refuse_mask(patches, valid if condition is None else condition)
            return embed.joined([self.encode(path) for path in paths])
        batches, dataset = self._batches(patches, valid, dims, condition)
        values = embed.encode(self.trained, batches)
        if isinstance(patches, str | Path):
            noise = counting_noise(Path(patches), self._encoded, batches.source.known)
            values = values if noise is None else noise.applied(values)
        coords = {} if dataset is None else embed.site_coordinates(dataset)
        latents = embed.dataset_of(values, coords=coords).assign_attrs(self.verdict().attrs())
        if self.class_names and "class" in latents:
            latents["class"].attrs |= flags(self.class_names, "class of the site")
        return latents

    def transform(self, patches: Data) -> np.ndarray:
        """The content of every patch (site, latent), as scikit-learn's pipelines want it; `encode` gives all latents."""
        return self.encode(patches)["content"].to_numpy()

    def fit_transform(
        self, patches: Data, y: np.ndarray | xr.DataArray | None = None, **options: Any
    ) -> np.ndarray:
        """Train, and give the content of every patch (site, latent)."""
        return self.fit(patches, y=y, **options).transform(patches)

    @one_thread()
    def reconstruct(self, patches: Data, *, condition: np.ndarray | None = None) -> xr.DataArray:
        """Patches as the model describes them, in their own pose and the units of the data.

        Dims are those of the patches: their own names of a labelled array, `patch_y` and `patch_x` of a store, otherwise
        (site, channel, y, x).
        """
        latents = self.encode(patches, condition=condition)
        poses = {name: latents[name] for name in self.trained.model.poses}
        decoded = self.decode(
            latents["content"],
            class_=_array(latents, "joint_class", "class"),
            target=_array(latents, "target"),
            condition=condition,
            own_poses=poses,
        )
        return decoding.named_as(decoded, patches)

    def score(self, patches: Data, y: object = None) -> float:
        """Mean lower bound of the log evidence of patches [nat per patch]; higher is better. `y` is not used."""
        return float(self.encode(patches)["elbo"].mean())

    def plot_manifold(self, steps: int = 9) -> plots.Figure:
        """A figure of the decoded patches over the content's range."""
        return plots.manifold(self.traversal(steps))

    def plot_latent(self, patches: Data) -> plots.Figure:
        """A figure of the first two content dimensions of patches."""
        return plots.latent_plane(self.encode(patches))

    def plot_history(self) -> plots.Figure:
        """A figure of the ELBO by epoch."""
        return plots.history(self.history)

    def plot_reconstructions(self, patches: np.ndarray, number: int = 6) -> plots.Figure:
        """A figure of the first patches and their reconstructions, first channel."""
        some = np.asarray(patches)[:number]
        return plots.reconstructions(
            some if some.ndim == 3 else some[:, 0], self.reconstruct(some).to_numpy()[:, 0]
        )

    def explore(self, patches: Data, *, dims: Sequence[str] | None = None) -> Any:
        """The interactive view of patches, as a widget for a notebook (extra `explore`); its `selected` are positions along `site`.

        Args:
            patches: As in `encode`.
            dims: As in `fit`.

        Raises:
            InputError: anywidget is missing, or the model has seen no data.
        """
        from invae import explore

        return explore(self, patches, dims=dims)

    @one_thread()
    def foreign_mask(
        self,
        patches: Data,
        *,
        dims: Sequence[str] | None = None,
        valid: np.ndarray | None = None,
    ) -> xr.DataArray:
        """Pixels of foreign objects (site, patch_y, patch_x), which do not count where `likelihood.foreign` is `mask`.

        All are False for a model that does not look for them. `encode` gives their share of every patch as `foreign_share`.
        """
        import xarray as xr

        batches, dataset = self._batches(patches, valid, dims, None)
        hidden = embed.foreign_pixels(self.trained.model, batches)
        coords = {} if dataset is None else embed.site_coordinates(dataset)
        return xr.DataArray(hidden, dims=FOREIGN, coords=coords, name="foreign")

    def _batches(
        self, patches: Data, valid: np.ndarray | None, names: Sequence[str] | None, condition: Any
    ) -> tuple[Batches, xr.Dataset | None]:
        """The patches in order, without labels, and the store that they came from.

        Raises:
            InputError: They have another shape than those of the training, or spectra another axis.
        """
        limits = {IMAGE: limits_of(self.config.likelihood)}
        source, dataset = source_of(patches, valid, limits=limits, names=names)
        source = embed.unlabelled(self._annotated(source, y=None, condition=condition))
        self.trained.refuse_other(source.geometries)
        if dataset is not None:
            refuse_other_axis(self.trained.axis, dataset, patches=str(patches))
        return Batches(source, np.arange(len(source)), BATCH, self.device), dataset

    def _encoded(self, source: SignalSource) -> dict[str, np.ndarray]:
        batches = Batches(source, np.arange(len(source)), BATCH, self.device)
        return embed.encode(self.trained, batches)

    @torch.no_grad()
    @one_thread()
    def decode(
        self,
        content: np.ndarray | xr.DataArray,
        *,
        class_: np.ndarray | int | None = None,
        target: np.ndarray | xr.DataArray | None = None,
        condition: np.ndarray | xr.DataArray | None = None,
        own_poses: Mapping[str, Any] | None = None,
        **poses: Any,
    ) -> xr.DataArray:
        """Expected patches (site, channel, y, x) in the units of the data.

        Args:
            content: (site, latent), or (latent,) for one patch.
            class_: (site,) or one for all; 0 when empty. With several discrete latents their joint state, the last fastest.
            target: (site, target); the training sites' mean when empty.
            condition: (site, condition); the training sites' mean when empty.
            own_poses: The same as `poses`, for a pose whose name is another argument's.
            **poses: `angle` (site,) [rad], `shift` (site, axis) [pixel], y then x, `scale` (site,) and further poses by the names
                that `encode` gives them; the pattern is left upright, centred and as large as it is where they are empty.

        Raises:
            InputError: A latent is given that the family does not have, or has another shape.
        """
        import xarray as xr

        rows = np.atleast_2d(np.asarray(content, dtype=np.float32))
        latents = {"content": numbers_of("content", rows, (len(rows), self.config.latent_dim))}
        every = {**dict.fromkeys(self.trained.model.poses), **poses, **(own_poses or {})}
        for name, value in every.items():
            latents |= decoding.pose(self.trained, name, value, n_sites=len(rows))
        latents |= decoding.class_state(self.trained, class_, n_sites=len(rows))
        latents |= decoding.numbers(self.trained, "target", target, n_sites=len(rows))
        latents |= decoding.numbers(self.trained, "condition", condition, n_sites=len(rows))
        on_device = {name: value.to(self.device) for name, value in latents.items()}
        images = self.trained.model.decode(on_device).mean.cpu().numpy()
        return xr.DataArray(
            images, dims=DECODED, coords={dims.CHANNEL: list(self.trained.channels)}
        )

    def _annotated(self, source: SignalSource, *, y: Any, condition: Any) -> SignalSource:
        """A source with the given annotations; the annotations of a store where none are given."""
        family, given = family_of(self.config.family), {}
        if y is not None:
            if not (family.classes or family.target or self.config.objective.penalties):
                raise InputError(f"family {self.config.family} learns from no labels; leave y out")
            given["labels" if family.classes else "target"] = np.asarray(y)
        if condition is not None:
            condition, _ = numbered(condition)
            if not family.condition:
                raise InputError(f"family {self.config.family} takes no condition; leave it out")
            n_conditions = self.config.n_conditions
            if self._trained is not None:
                n_conditions = self._trained.config.n_conditions
            given["condition"] = condition_columns(condition, n_conditions)
        if not given:
            return source
        checked = checked_annotations(len(source), **given)
        return source.annotated(replace(source.known, **{k: getattr(checked, k) for k in given}))

    @one_thread()
    def traversal(self, steps: int = 9) -> xr.DataArray:
        """Upright, centred patches over the content's range: (class, latent_1, latent_2, channel, y, x).

        The range holds 95 % of the training sites in every dimension; dimensions beyond the second stay at its middle.
        With one content dimension there is no latent_2; a family without classes has one class.
        """
        import xarray as xr

        limits = self.trained.content_range
        axes = [np.linspace(low, high, steps) for low, high in limits[:2]]
        grid = np.tile([(low + high) / 2 for low, high in limits], (steps ** len(axes), 1))
        for column, mesh in enumerate(np.meshgrid(*axes, indexing="ij")):
            grid[:, column] = mesh.ravel()
        prior = self.trained.model.priors.get("class")
        states = range(prior.n_states) if isinstance(prior, ClassPrior) else [None]
        images = [self.decode(grid, class_=state) for state in states]
        names = [f"latent_{number}" for number in range(1, len(axes) + 1)]
        shape = (len(images), *[steps] * len(axes), *images[0].shape[1:])
        return xr.DataArray(
            np.stack([image.to_numpy() for image in images]).reshape(shape),
            dims=(dims.CLASS, *names, dims.CHANNEL, dims.Y, dims.X),
            coords={
                **dict(zip(names, axes, strict=True)),
                dims.CHANNEL: list(self.trained.channels),
            },
        )

    def save(self, path: str | Path) -> None:
        """Write the model into a folder: safetensors and JSON, priors and scales included."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        model_folder.save(folder, self.trained)
        write_names(folder, self.class_names)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> InvariantVAE:
        """The estimator of a folder, or of the `model/` of a run.

        Raises:
            StoreError: There is no model in it.
        """
        trained = model_folder.load(Path(path), device=device_of(device))
        own: dict[str, Any] = {name: getattr(trained.config, name) for name in SETTINGS}
        vae = cls(**own, training=trained.training, seed=trained.seed, device=device)
        vae.config, vae.training, vae._trained = trained.config, trained.training, trained
        vae.class_names = read_names(Path(path))
        return vae

    def verdict(self) -> Verdict:
        """How far this model can be believed: a light (green, amber, red), and findings with what to do.

        It follows from numbers that were measured at the end of the training and are saved with the model.

        Example:
            >>> import numpy as np
            >>> patches = np.random.default_rng(0).normal(size=(40, 16, 16))
            >>> verdict = InvariantVAE("VAE", training={"epochs": 1}).fit(patches).verdict()
            >>> verdict.light
            'red'

        Raises:
            InputError: The model has seen no data.
        """
        return verdict_on(self.trained.symptoms)

    @property
    def is_trained(self) -> bool:
        """Whether it has seen data."""
        return self._trained is not None

    @property
    def history(self) -> list[Epoch]:
        """Metrics of every epoch."""
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


def _array(latents: xr.Dataset, *names: str) -> np.ndarray | None:
    """The first of some variables that there is; none without any."""
    return next((latents[name].to_numpy() for name in names if name in latents), None)


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']} (given {first['input']!r})"
