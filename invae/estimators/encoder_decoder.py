"""`EncoderDecoder`: spectra from images with intervals, or images from spectra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import ValidationError

from invae import dims
from invae.config import TrainingConfig
from invae.config.pairs import HeteroscedasticNoise, PairsModelConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.estimators.estimator import SavedEstimator
from invae.estimators.progress_bar import progress_bar
from invae.models.pairs.spectrum_generator import SpectrumGenerator
from invae.models.signals import IMAGE
from invae.pairs import fitting, folder
from invae.pairs.data import SPECTRUM, PairData, Pairs, pairs_of
from invae.pairs.designs import fitting_images
from invae.pairs.fitted import Fitted
from invae.pairs.labelled import axis_of, predicted
from invae.pairs.prediction import content_means, content_of, sampled_images
from invae.progress import Progress
from invae.regression import scores
from invae.training.device import device_of, one_thread

if TYPE_CHECKING:
    import xarray as xr

TRIES = 8
"""Images that are made for every one that `sample` returns."""


class EncoderDecoder(SavedEstimator):
    """Spectra from image patches (im2spec), or image patches from spectra (spec2im).

    Two kinds of members answer together. Networks have an encoder that is invariant to rotation and mirror images, a few latent
    variables and a decoder of spectra. A Gaussian process on invariant features needs no training steps and is the better one of few
    pairs. Their weights, and the width of the intervals, follow from pairs that the members have not seen: every pair is held out
    once, by specimen where there are several, else by blocks of space.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> images, spectra = rng.normal(size=(40, 16, 16)), rng.normal(size=(40, 8))
        >>> model = EncoderDecoder(n_members=0).fit({"image": images, "spectrum": spectra})
        >>> model.predict(images)["mean"].dims
        ('site', 'energy')
    """

    def __init__(
        self,
        source: Literal["image", "spectrum"] = IMAGE,
        target: Literal["image", "spectrum"] = SPECTRUM,
        *,
        latent_dim: int = 16,
        n_members: int = 2,
        n_folds: int = 5,
        process: bool = True,
        beta: float | None = None,
        coverage: float = 0.9,
        seed: int = 0,
        model: PairsModelConfig | Mapping[str, Any] | None = None,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
        verbose: int = 1,
    ) -> None:
        """Choose a model.

        Args:
            source: What is given.
            target: What is predicted.
            latent_dim: Number of latent variables of a network.
            n_members: Number of networks that learn from all pairs; with 0 the Gaussian process answers alone.
            n_folds: Parts that are held out in turn.
            process: Whether a Gaussian process learns too. It predicts spectra beside the networks, or judges images that are made for spectra; only
                with the default likelihood.
            beta: Weight of the KL divergence; 0 of im2spec is a deterministic encoder, the default there.
            coverage: Of the intervals of `predict`.
            seed: Weights, order of the pairs, noise and folds follow from it.
            model: Further settings of the networks (`invae.config.pairs.PairsModelConfig`).
            training: Epochs, batches, learning rate, … (`invae.config.TrainingConfig`).
            device: auto, cpu or cuda.
            verbose: 1 shows the progress of the training as a bar, in terminals and notebooks; 0 does not.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        if {source, target} != {IMAGE, SPECTRUM}:
            raise ConfigError(
                f"source {source!r} and target {target!r}: one is image, the other spectrum"
            )
        family = "im2spec" if target == SPECTRUM else "spec2im"
        beta = (0.0 if family == "im2spec" else 1.0) if beta is None else beta
        given = dict(model if isinstance(model, Mapping) else model.model_dump() if model else {})
        own = {
            "latent_dim": latent_dim,
            "beta": beta,
            "n_members": n_members,
            "n_folds": n_folds,
            "process": process,
            "coverage": coverage,
        }
        try:
            self.config = PairsModelConfig.model_validate({**own, **given, "family": family})
            asked = training.model_dump() if isinstance(training, TrainingConfig) else training
            self.training = TrainingConfig.model_validate({**fitting.TRAINING, **(asked or {})})
        except ValidationError as error:
            raise ConfigError("; ".join(e["msg"] for e in error.errors())) from error
        self.source, self.target = source, target
        self.seed, self.device, self.verbose = seed, device_of(device), verbose
        self._fitted: Fitted | None = None

    @one_thread()
    def fit(
        self, pairs: PairData, *, workers: int | None = None, progress: Progress | None = None
    ) -> EncoderDecoder:
        """Learn from pairs; returns the estimator itself.

        Args:
            pairs: A mapping with `image` (site, y, x) or (site, channel, y, x), `spectrum` (site, energy), and if known
                `specimen` (site) and `axis` (energy); or a Dataset or store with `patch` and `spectrum`.
            workers: Networks that are trained at a time on a processor; the number of cores when empty. Values do not depend on it.
            progress: Called with percent and 100, in place of the bar.

        Raises:
            InputError: The pairs cannot be learned from.
            TrainingDiverged: The loss became infinite or not a number.
        """
        learning = fitting.Learning(
            self.config, self.training, self.seed, self.device, workers=workers
        )
        fit = fitting.fit if self.target == SPECTRUM else fitting.fit_once
        with progress_bar(progress, verbose=self.verbose, unit="%") as shown:
            self._fitted = fit(pairs_of(pairs), learning, progress=shown)
        return self

    @one_thread()
    def predict(self, images: PairData | np.ndarray) -> xr.Dataset:
        """Spectra of image patches, or images of spectra.

        Of spectra: `mean`, `sd_noise` (scatter of a spectrum that the image does not determine), `sd_model` (what the training pairs
        leave open), `lower` and `upper` (site, energy), in the unit of the spectra. The interval holds its coverage for specimens like
        those of the training.

        Raises:
            InputError: The patches have another shape than those of the training.
        """
        if self.target == IMAGE:
            return self._images(images)
        return predicted(self._trained, self._inputs(images))

    @one_thread()
    def encode(self, data: PairData | np.ndarray) -> xr.Dataset:
        """Latent variables `content` (site, latent) of the first network, from what it is given in `predict`."""
        import xarray as xr

        if not self._trained.networks:
            raise InputError(
                "an estimator without networks has no latent variables; set n_members to 1"
            )
        if self.source == IMAGE:
            given = self._inputs(data)
            latents = content_of(self._trained.networks[0], IMAGE, given.patches)
            coords = given.coords or {}
        else:
            latents = content_of(self._trained.networks[0], SPECTRUM, self._spectra(data))
            coords = {}
        attrs = dims.attrs("content: what determines the other signal")
        return xr.Dataset({"content": ((dims.SITE, dims.LATENT), latents, attrs)}, coords=coords)

    @torch.no_grad()
    @one_thread()
    def sample(
        self,
        data: PairData | np.ndarray,
        n: int = 8,
        *,
        noise: bool = False,
        tries: int | None = None,
        seed: int = 0,
    ) -> xr.DataArray:
        """Possible targets of every source: (sample, site, energy), or (sample, site, channel, patch_y, patch_x).

        Images stand upright. The Gaussian process predicts the spectrum of every image; the images with the nearest spectra are
        returned, the nearest first.

        Args:
            data: As for `predict`; spectra (site, energy) if images are the target.
            n: Number of samples per site.
            noise: Whether spectra have the noise of single channels, like observations.
            tries: Images that are made for every one that is returned; 8 by default, 1 without a Gaussian process. With 1 nothing is selected.
            seed: Of the samples.

        Raises:
            InputError: The data do not fit, or several tries are asked of a model that cannot choose among them.
        """
        import xarray as xr

        rng = np.random.default_rng([self.seed, seed, 13])
        if self.target == IMAGE:
            drawn = self._draw_images(self._spectra(data), n, self._tries(tries), rng)
            return xr.DataArray(drawn, dims=("sample", *dims.PATCH))
        given = self._inputs(data)
        axis, state = self._trained.axis, self._trained
        if not isinstance(self.config.likelihood, HeteroscedasticNoise):
            drawn = [self._draw_spectra(given.patches, rng) for _ in range(n)]
            values, sds = (np.stack([one[k] for one in drawn]) for k in range(2))
        else:
            parts, weights = state.parts(given.patches)
            chosen = rng.choice(len(parts), size=(n, len(given)), p=np.asarray(weights))
            each = chosen, np.arange(len(given))
            values, sds = (
                np.stack([getattr(part, name) for part in parts])[each] for name in ("mean", "sd")
            )
        if noise:
            values = values + sds * rng.normal(size=values.shape)
        return xr.DataArray(
            values,
            dims=("sample", dims.SITE, axis.name),
            coords=axis_of(self._trained),
            attrs=dims.attrs("possible spectrum", state.units),
        )

    @property
    def held_out(self) -> xr.Dataset:
        """Predictions of the training pairs by members that have not seen them, and their scores as attributes."""
        import xarray as xr

        state = self._trained
        axis = state.axis
        over = (dims.SITE, axis.name)
        found = state.held_out
        return xr.Dataset(
            {
                "mean": (over, found.mean, dims.attrs("predicted spectrum", state.units)),
                "sd": (over, found.sd, dims.attrs("sd of an observation", state.units)),
                "spectrum": (over, found.spectra, dims.attrs("measured spectrum", state.units)),
            },
            coords=axis_of(self._trained),
            attrs={
                "r2": scores.r2(found.mean, found.spectra) if len(found.mean) else float("nan"),
                "by": state.by,
                "network_weight": found.weight,
                "interval_scale": found.scale,
                "leaks": state.leaks,
            },
        )

    def save(self, path: str | Path) -> None:
        """Write a folder: settings as JSON, weights and arrays as safetensors."""
        Path(path).mkdir(parents=True, exist_ok=True)
        folder.save(Path(path), self._trained)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> EncoderDecoder:
        """The estimator of a folder.

        Raises:
            StoreError: There is none in it, or a damaged one.
        """
        fitted = folder.load(Path(path), device=device_of(device))
        if fitted.config.has_partners:
            raise StoreError(
                f"{path} holds a model of the family {fitted.config.family}; load it with invae.DualVAE"
            )
        forth = fitted.config.family == "im2spec"
        made = cls(
            *((IMAGE, SPECTRUM) if forth else (SPECTRUM, IMAGE)),
            seed=fitted.seed,
            model=fitted.config,
            training=fitted.training,
            device=device,
        )
        made._fitted = fitted
        return made

    @property
    def is_trained(self) -> bool:
        """Whether it has seen data."""
        return self._fitted is not None

    @property
    def _trained(self) -> Fitted:
        if self._fitted is None:
            raise InputError("this estimator has seen no data; call fit or load first")
        return self._fitted

    def _inputs(self, images: PairData | np.ndarray) -> Pairs:
        fitted = self._trained
        given = pairs_of(images, needs_spectra=False)  # pyright: ignore[reportArgumentType]
        fitted.refuse_other(given)
        return given

    def _draw_spectra(
        self, patches: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """One possible spectrum per patch, and its sd (site, energy)."""
        network = self._trained.networks[int(rng.integers(len(self._trained.networks)))]
        parts = network.parts(SPECTRUM)
        generator = parts.generator
        assert isinstance(generator, SpectrumGenerator)
        numbers = generator.numbers({"content": content_means(network, IMAGE, patches)})
        state = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        drawn = generator.noise.draw(numbers, state)
        mean = parts.standardise.undo(drawn.mean)[:, 0, 0].cpu().numpy()
        return mean, (drawn.variance.sqrt() * parts.standardise.scale)[:, 0, 0].cpu().numpy()

    def _tries(self, asked: int | None) -> int:
        """Images that are made for every one that is returned."""
        can_choose = self._trained.process is not None
        tries = (TRIES if can_choose else 1) if asked is None else asked
        if tries < 1 or (tries > 1 and not can_choose):
            raise InputError(
                f"tries is {tries}; give 1 or more, and more than 1 only to a model with a Gaussian process (process=True)"
            )
        return tries

    def _draw_images(
        self, spectra: np.ndarray, n: int, tries: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Images of spectra (sample, site, channel, y, x)."""
        networks, process = self._trained.networks, self._trained.process
        n_private = self.config.private_dim
        if process is None or tries == 1:
            return np.stack([sampled_images(networks, spectra, n_private, rng) for _ in range(n)])
        return fitting_images(
            networks, process, spectra, n=n, tries=tries, n_private=n_private, rng=rng
        )

    def _spectra(self, data: Any) -> np.ndarray:
        values = data[SPECTRUM] if isinstance(data, Mapping) else data
        values = np.asarray(values, np.float32)
        n_energies = len(self._trained.axis.values)
        if values.ndim != 2 or values.shape[1] != n_energies:
            raise InputError(
                f"spectra have shape {values.shape}, the model takes (site, {n_energies})"
            )
        return values

    def _images(self, spectra: Any) -> xr.Dataset:
        import xarray as xr

        images = sampled_images(
            self._trained.networks, self._spectra(spectra), self.config.private_dim, None
        )
        return xr.Dataset({"mean": (dims.PATCH, images, dims.attrs("image of the prior mean"))})
