"""`DualVAE`: latent spaces of images and of spectra side by side, translation between them, and finding partners."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ValidationError

from invae import dims
from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.estimators.estimator import SavedEstimator
from invae.estimators.progress_bar import progress_bar
from invae.models.latents import Normal
from invae.models.pairs.pair_model import product
from invae.models.signals import IMAGE
from invae.pairs import fitting, folder
from invae.pairs.data import SPECTRUM, PairData, pairs_of
from invae.pairs.fitted import Fitted
from invae.pairs.labelled import axis_of, predicted
from invae.pairs.partners import distances
from invae.pairs.prediction import posteriors, sampled_images
from invae.progress import Progress
from invae.training.device import device_of, one_thread

if TYPE_CHECKING:
    import xarray as xr

TRAINING = {"learning_rate": 3e-3, "averaging": 0.99, "patience": 60}
Family = Literal["separated", "linked", "dual", "dual-poe"]
Side = Literal["image", "spectrum"]


class DualVAE(SavedEstimator):
    """A variational autoencoder of images and spectra of the same sites.

    dual: latent variables that both share and some of the image alone. dual-poe: one set of latent variables, from either signal or from
    both. separated: one autoencoder each, and a linear map between them fitted afterwards. linked: the same, with the map in the
    training. The rotation of the image is inferred exactly and is in none of them.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> pairs = {"image": rng.normal(size=(40, 16, 16)), "spectrum": rng.normal(size=(40, 8))}
        >>> model = DualVAE(training={"epochs": 1}).fit(pairs)
        >>> model.encode(spectra=pairs["spectrum"])["content_spectrum"].dims
        ('site', 'latent')
    """

    def __init__(
        self,
        family: Family = "dual",
        *,
        latent_dim: int = 8,
        private_dim: int = 8,
        beta: float = 1.0,
        seed: int = 0,
        n_members: int = 1,
        model: PairsModelConfig | Mapping[str, Any] | None = None,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
        verbose: int = 1,
    ) -> None:
        """Choose a model.

        Args:
            family: dual, dual-poe, separated or linked.
            latent_dim: Number of shared latent variables; of each signal in separated and linked.
            private_dim: Number of latent variables of the image alone (dual).
            beta: Weight of the KL divergences.
            seed: Weights, order of the pairs, noise and held-out pairs follow from it.
            n_members: Number of networks, each with another eighth of the pairs held out; translations and distances are their means.
            model: Further settings (`invae.config.pairs.PairsModelConfig`).
            training: Epochs, batches, learning rate, … (`invae.config.TrainingConfig`).
            device: auto, cpu or cuda.
            verbose: 1 shows the progress of the training as a bar, in terminals and notebooks; 0 does not.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        if family not in ("dual", "dual-poe", "separated", "linked"):
            raise ConfigError(
                f"no family of DualVAE is called {family!r}; choose dual, dual-poe, separated or linked"
            )
        own = {
            "latent_dim": latent_dim,
            "private_dim": private_dim,
            "beta": beta,
            "n_members": n_members,
        }
        given = dict(model if isinstance(model, Mapping) else model.model_dump() if model else {})
        try:
            self.config = PairsModelConfig.model_validate({**own, **given, "family": family})
            asked = training.model_dump() if isinstance(training, TrainingConfig) else training
            self.training = TrainingConfig.model_validate({**TRAINING, **(asked or {})})
        except ValidationError as error:
            raise ConfigError("; ".join(e["msg"] for e in error.errors())) from error
        self.seed, self.device, self.verbose = seed, device_of(device), verbose
        self._fitted: Fitted | None = None

    @one_thread()
    def fit(
        self, pairs: PairData, *, workers: int | None = None, progress: Progress | None = None
    ) -> DualVAE:
        """Learn from pairs (see `EncoderDecoder.fit`); returns the estimator itself.

        Raises:
            InputError: The pairs cannot be learned from.
            TrainingDiverged: The loss became infinite or not a number.
        """
        learning = fitting.Learning(
            self.config, self.training, self.seed, self.device, workers=workers
        )
        with progress_bar(progress, verbose=self.verbose, unit="%") as shown:
            self._fitted = fitting.fit_once(pairs_of(pairs), learning, progress=shown)
        return self

    @one_thread()
    def predict(self, images: PairData | np.ndarray) -> xr.Dataset:
        """Spectra of image patches, as `EncoderDecoder.predict` gives them.

        Their interval is that of the inferred noise; it was not compared with held-out pairs.

        Raises:
            InputError: The patches have another shape than those of the training.
        """
        given = pairs_of(images, needs_spectra=False)  # pyright: ignore[reportArgumentType]
        return predicted(self._trained, given)

    @one_thread()
    def encode(self, *, images: Any = None, spectra: Any = None) -> xr.Dataset:
        """Latent variables of images, of spectra, or of both.

        `content_image` and `content_spectrum` (site, latent) are what each signal says of the shared latent variables (in separated
        and linked: its own); `private` (site, private_latent) is the image's alone (dual). Each has its `…_sd`. With both given, dual-poe adds
        `content`, from both together.

        Raises:
            InputError: Neither is given, or their shapes are not those of the training.
        """
        import xarray as xr

        network = self._trained.networks[0]
        found: dict[str, Any] = {}
        said: list[Normal] = []
        for name, values in ((IMAGE, images), (SPECTRUM, spectra)):
            if values is None:
                continue
            posterior = posteriors(network, name, self._checked(name, values))
            shared = network.content(posterior, name)
            said.append(shared)
            found |= _as_variables(f"content_{name}", shared, dims.LATENT)
            own = f"{name}.content"
            if own in posterior and "content" in posterior:
                found |= _as_variables("private", posterior[own], "private_latent")
        if not said:
            raise InputError("nothing to encode; give images, spectra or both")
        if len(said) == 2 and self.config.family == "dual-poe":
            found |= _as_variables("content", product(*said), dims.LATENT)
        return xr.Dataset(found)

    @one_thread()
    def translate(self, data: Any, *, to: Side) -> xr.DataArray:
        """The other signal of images (`to="spectrum"`) or spectra (`to="image"`), at the means of the latent variables.

        Spectra are (site, energy); images (site, channel, patch_y, patch_x) stand upright, with the private latent variables at 0.
        """
        import xarray as xr

        state = self._trained
        if to == SPECTRUM:
            mean = state.predict(self._checked(IMAGE, data)).mean
            return xr.DataArray(
                mean.astype(np.float32),
                dims=(dims.SITE, state.axis.name),
                coords=axis_of(state),
                attrs=dims.attrs("translated spectrum", state.units),
            )
        spectra = self._checked(SPECTRUM, data)
        images = [
            sampled_images([network], spectra, self.config.private_dim, None)
            for network in state.networks
        ]
        return xr.DataArray(
            np.mean(images, axis=0), dims=dims.PATCH, attrs=dims.attrs("translated image")
        )

    @one_thread()
    def match(self, *, images: Any, spectra: Any) -> xr.DataArray:
        """Distance of every spectrum from every image (spectrum, image) in the shared latent space; partners are near each other."""
        import xarray as xr

        patches, values = self._checked(IMAGE, images), self._checked(SPECTRUM, spectra)
        return xr.DataArray(
            distances(self._trained.networks, patches, values),
            dims=("query", "candidate"),
            attrs=dims.attrs("distance of a spectrum from an image in the shared latent space"),
        )

    def save(self, path: str | Path) -> None:
        """Write a folder: settings as JSON, weights as safetensors."""
        Path(path).mkdir(parents=True, exist_ok=True)
        folder.save(Path(path), self._trained)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> DualVAE:
        """The estimator of a folder.

        Raises:
            StoreError: There is none in it, a damaged one, or one that only predicts spectra or images.
        """
        fitted = folder.load(Path(path), device=device_of(device))
        family = fitted.config.family
        if family == "im2spec" or family == "spec2im":
            raise StoreError(
                f"{path} holds a model of the family {family}; load it with invae.EncoderDecoder"
            )
        made = cls(
            family, seed=fitted.seed, model=fitted.config, training=fitted.training, device=device
        )
        made._fitted = fitted
        return made

    @property
    def history(self) -> list[dict[str, Any]]:
        """Epochs of the first network: number, terms of training and held-out pairs."""
        return [dict(epoch) for epoch in self._trained.histories[0]]

    @property
    def units(self) -> str:
        """Of the spectra."""
        return self._trained.units

    @property
    def is_trained(self) -> bool:
        """Whether it has seen data."""
        return self._fitted is not None

    @property
    def _trained(self) -> Fitted:
        if self._fitted is None:
            raise InputError("this estimator has seen no data; call fit or load first")
        return self._fitted

    def _checked(self, name: str, values: Any) -> np.ndarray:
        """One signal as patches (site, channel, y, x) or spectra (site, energy).

        Raises:
            InputError: Its shape is not that of the training.
        """
        own = self._trained.networks[0].geometries[name]
        values = np.asarray(values, np.float32)
        if name == SPECTRUM:
            fits = values.ndim == 2 and values.shape[1] == own.width
        else:
            values = values[:, None] if values.ndim == 3 else values
            fits = values.shape[1:] == (own.n_channels, own.height, own.width)
        if not fits:
            raise InputError(
                f"{name} has shape {values.shape}, the model takes {own.n_channels} × {own.height} × {own.width}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name} has values that are NaN or infinite; leave these sites out")
        return np.ascontiguousarray(values)


def _as_variables(name: str, posterior: Any, axis: str) -> dict[str, Any]:
    where = (dims.SITE, axis)
    found = {
        name: (where, posterior.mean.cpu().numpy(), dims.attrs(name.replace("_", ", from the ")))
    }
    if isinstance(posterior, Normal):
        sd = posterior.log_sd.exp().cpu().numpy()
        found[f"{name}_sd"] = (where, sd, dims.attrs(f"sd of {name}"))
    return found
