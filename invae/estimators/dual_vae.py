"""`DualVAE`: latent spaces of images and of spectra side by side, translation between them, and finding partners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.nn import functional

from invae import dims
from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.models.batch import Geometry, Patches
from invae.models.latents import Normal, Point
from invae.models.pairs.build import build_pairs
from invae.models.pairs.pair_model import PairModel
from invae.models.signals import IMAGE, Signals
from invae.pairs.data import SPECTRUM, PairData, SpectralAxis, pairs_of
from invae.progress import Progress, silent
from invae.training.device import device_of
from invae.training.folds import folds_of
from invae.training.pair_training import train_members
from invae.training.split import Split

if TYPE_CHECKING:
    import xarray as xr

CARD_FILE, WEIGHTS_FILE = "model.json", "model.safetensors"
BATCH = 512
HELD_OUT_FOLDS = 8
"""One of so many parts is held out, to choose the best epoch."""
RIDGE = 1e-2
"""Weight of the squared coefficients of the map between separated latent spaces, per site."""
TRAINING = {"learning_rate": 3e-3, "averaging": 0.99, "patience": 60}
Family = Literal["separated", "linked", "dual", "dual-poe"]
Side = Literal["image", "spectrum"]


class DualVAE:
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
        model: Mapping[str, Any] | None = None,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        """Choose a model.

        Args:
            family: dual, dual-poe, separated or linked.
            latent_dim: Number of shared latent variables; of each signal in separated and linked.
            private_dim: Number of latent variables of the image alone (dual).
            beta: Weight of the KL divergences.
            seed: Weights, order of the pairs, noise and held-out pairs follow from it.
            model: Further settings (`invae.config.pairs.PairsModelConfig`).
            training: Epochs, batches, learning rate, … (`invae.config.TrainingConfig`).
            device: auto, cpu or cuda.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        if family not in ("dual", "dual-poe", "separated", "linked"):
            raise ConfigError(
                f"no family of DualVAE is called {family!r}; choose dual, dual-poe, separated or linked"
            )
        own = {"latent_dim": latent_dim, "private_dim": private_dim, "beta": beta}
        try:
            self.config = PairsModelConfig.model_validate(
                {**own, **(model or {}), "family": family}
            )
            asked = training.model_dump() if isinstance(training, TrainingConfig) else training
            self.training = TrainingConfig.model_validate({**TRAINING, **(asked or {})})
        except ValidationError as error:
            raise ConfigError("; ".join(e["msg"] for e in error.errors())) from error
        self.seed, self.device = seed, device_of(device)
        self._network: PairModel | None = None
        self._axis: SpectralAxis | None = None
        self._map: tuple[np.ndarray, np.ndarray] | None = None
        self.units, self.history = "1", list[dict[str, Any]]()

    def fit(self, pairs: PairData, *, progress: Progress = silent) -> DualVAE:
        """Learn from pairs (see `EncoderDecoder.fit`); returns the estimator itself.

        Raises:
            InputError: The pairs cannot be learned from.
            TrainingDiverged: The loss became infinite or not a number.
        """
        given = pairs_of(pairs)
        folds = folds_of(
            len(given),
            n_folds=HELD_OUT_FOLDS,
            seed=self.seed,
            specimen=given.specimen,
            places=given.places,
        )
        split = folds.splits[0]
        # Of two specimens one would be half of the data: then the last epoch counts.
        if len(split.training) < 0.6 * len(given):
            split = Split(np.arange(len(given)), np.zeros(0, int))
        member = train_members(
            given.source(),
            [split],
            model=self.config,
            training=self.training,
            seed=self.seed,
            device=self.device,
            progress=progress,
        )[0]
        self._network, self._axis, self.units = member.model, given.axis, given.units
        self.history = [epoch.to_json() for epoch in member.history]
        if self.config.family == "separated":
            here = split.training
            self._map = _linear_map(
                self._means(SPECTRUM, given.spectra[here] if given.spectra is not None else None),
                self._means(IMAGE, given.patches[here]),
            )
        return self

    def encode(self, *, images: Any = None, spectra: Any = None) -> xr.Dataset:
        """Latent variables of images, of spectra, or of both.

        `content_image` and `content_spectrum` (site, latent) are what each signal says of the shared latent variables (in separated
        and linked: its own); `private` (site, private_latent) is the image's alone (dual). Each has its `…_sd`. With both given, dual-poe adds
        `content`, from both together.

        Raises:
            InputError: Neither is given, or their shapes are not those of the training.
        """
        import xarray as xr

        found: dict[str, Any] = {}
        batch: dict[str, Patches] = {}
        for name, values in ((IMAGE, images), (SPECTRUM, spectra)):
            if values is None:
                continue
            batch[name] = self._patches(name, values)
            posterior = self._posterior(name, batch[name])
            own = f"{name}.content"
            shared = posterior.get("content", posterior.get(own))
            assert isinstance(shared, Normal | Point)
            found |= _as_variables(f"content_{name}", shared, dims.LATENT)
            if own in posterior and "content" in posterior:
                found |= _as_variables("private", posterior[own], "private_latent")
        if not batch:
            raise InputError("nothing to encode; give images, spectra or both")
        if len(batch) == 2 and self.config.family == "dual-poe":
            with torch.no_grad():
                both = self._model.infer(Signals(batch)).posterior["content"]
            found |= _as_variables("content", both, dims.LATENT)
        return xr.Dataset(found)

    @torch.no_grad()
    def translate(self, data: Any, *, to: Side) -> xr.DataArray:
        """The other signal of images (`to="spectrum"`) or spectra (`to="image"`), at the means of the latent variables.

        Spectra are (site, energy); images (site, channel, patch_y, patch_x) stand upright, with the private latent variables at 0.
        """
        import xarray as xr

        model, source = self._model, IMAGE if to == SPECTRUM else SPECTRUM
        content = torch.from_numpy(self._mapped(source, data)).to(self.device)
        if to == SPECTRUM:
            name = (
                "content" if "content" in model.priors and self._shares else f"{SPECTRUM}.content"
            )
            mean = model.parts(SPECTRUM).decode({name: content}).mean[:, 0, 0].cpu().numpy()
            axis = self._axis
            assert axis is not None
            return xr.DataArray(
                mean,
                dims=(dims.SITE, axis.name),
                coords={axis.name: (axis.name, axis.values, {"units": axis.units})},
                attrs=dims.attrs("translated spectrum", self.units),
            )
        latents = {"content" if self._shares else f"{IMAGE}.content": content}
        if self.config.family == "dual":
            own = torch.zeros(len(content), self.config.private_dim, device=self.device)
            latents[f"{IMAGE}.content"] = own
        latents["angle"] = torch.zeros(len(content), 1, device=self.device)
        images = model.parts(IMAGE).decode(latents).mean.cpu().numpy()
        return xr.DataArray(images, dims=dims.PATCH, attrs=dims.attrs("translated image"))

    def match(self, *, images: Any, spectra: Any) -> xr.DataArray:
        """Distance of every spectrum from every image (spectrum, image) in the shared latent space; partners are near each other."""
        import xarray as xr

        of_images, of_spectra = self._comparable(images, spectra)
        square = (
            (of_spectra**2).sum(1)[:, None] + (of_images**2).sum(1) - 2 * of_spectra @ of_images.T
        )
        return xr.DataArray(
            np.sqrt(square.clip(0)),
            dims=("query", "candidate"),
            attrs=dims.attrs("distance of a spectrum from an image in the shared latent space"),
        )

    def save(self, path: str | Path) -> None:
        """Write a folder: settings as JSON, weights as safetensors."""
        folder, model, axis = Path(path), self._model, self._axis
        assert axis is not None
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        if self._map is not None:
            matrix, offset = (np.ascontiguousarray(v) for v in self._map)
            tensors |= {
                "map.matrix": torch.from_numpy(matrix),
                "map.offset": torch.from_numpy(offset),
            }
        (folder / WEIGHTS_FILE).write_bytes(save_tensors(tensors))
        geometry = model.geometries[IMAGE]
        card = {
            "estimator": "DualVAE",
            "config": self.config.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
            "axis": {**asdict(axis), "values": axis.values.tolist()},
            "units": self.units,
            "patch": [geometry.n_channels, geometry.height, geometry.width],
            "history": self.history,
        }
        (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> DualVAE:
        """The estimator of a folder.

        Raises:
            StoreError: There is none in it, or a damaged one.
        """
        folder = Path(path)
        try:
            card = json.loads((folder / CARD_FILE).read_text())
            config = card["config"]
            made = cls(
                config["family"],
                latent_dim=config["latent_dim"],
                private_dim=config["private_dim"],
                beta=config["beta"],
                seed=card["seed"],
                model=config,
                training=card["training"],
                device=device,
            )
            axis = SpectralAxis(**{**card["axis"], "values": np.array(card["axis"]["values"])})
            geometries = {
                IMAGE: Geometry(*card["patch"]),
                SPECTRUM: Geometry(1, 1, len(axis.values)),
            }
            network = build_pairs(made.config, geometries, seed=card["seed"])
            tensors = load_tensors((folder / WEIGHTS_FILE).read_bytes())
            linear = [tensors.pop(f"map.{name}", None) for name in ("matrix", "offset")]
            network.load_state_dict(tensors)
        except (
            OSError,
            LookupError,
            TypeError,
            ValueError,
            RuntimeError,
            SafetensorError,
        ) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(
                f"{folder} holds no model of pairs that can be loaded: {first}"
            ) from error
        made._network, made._axis = network.to(made.device).eval(), axis
        made.units, made.history = card["units"], card["history"]
        if linear[0] is not None and linear[1] is not None:
            made._map = (linear[0].numpy(), linear[1].numpy())
        return made

    @property
    def _model(self) -> PairModel:
        if self._network is None:
            raise InputError("this estimator has seen no data; call fit or load first")
        return self._network

    @property
    def _shares(self) -> bool:
        """Whether image and spectrum speak of the same latent variables."""
        return self.config.family in ("dual", "dual-poe")

    def _patches(self, name: str, values: Any) -> Patches:
        """One signal on the device.

        Raises:
            InputError: Its shape is not that of the training.
        """
        own = self._model.geometries[name]
        values = np.asarray(values, np.float32)
        if name == SPECTRUM:
            fits = values.ndim == 2 and values.shape[1] == own.width
            values = values.reshape(len(values), 1, 1, -1)
        else:
            values = values[:, None] if values.ndim == 3 else values
            fits = values.shape[1:] == (own.n_channels, own.height, own.width)
        if not fits:
            raise InputError(
                f"{name} has shape {values.shape}, the model takes {own.n_channels} × {own.height} × {own.width}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name} has values that are NaN or infinite; leave these sites out")
        return Patches(torch.from_numpy(values).to(self.device))

    @torch.no_grad()
    def _posterior(self, name: str, patches: Patches) -> dict[str, Any]:
        parts = [
            self._model.inferences(Signals({name: patches.take(slice(k, k + BATCH))}))[
                name
            ].posterior
            for k in range(0, len(patches), BATCH)
        ]
        return {latent: _joined([part[latent] for part in parts]) for latent in parts[0]}

    def _means(self, name: str, values: Any) -> np.ndarray:
        posterior = self._posterior(name, self._patches(name, values))
        shared = posterior.get("content", posterior.get(f"{name}.content"))
        assert isinstance(shared, Normal | Point)
        return shared.mean.cpu().numpy()

    def _mapped(self, source: str, data: Any) -> np.ndarray:
        """Latent variables of a signal, in the latent space of the other one."""
        means = self._means(source, data)
        if self._shares:
            return means
        matrix, offset = self._linear
        if source == SPECTRUM:
            return (means @ matrix + offset).astype(np.float32)
        return np.linalg.lstsq(matrix.T, (means - offset).T, rcond=1e-3)[0].T.astype(np.float32)

    @property
    def _linear(self) -> tuple[np.ndarray, np.ndarray]:
        """The map from the latent space of spectra to that of images."""
        if self._map is not None:
            return self._map
        link = self._model.link
        return link.weight.detach().cpu().numpy().T, link.bias.detach().cpu().numpy()

    @torch.no_grad()
    def _comparable(self, images: Any, spectra: Any) -> tuple[np.ndarray, np.ndarray]:
        of_images, of_spectra = self._means(IMAGE, images), self._mapped(SPECTRUM, spectra)
        if self.config.family == "dual":
            both = (torch.from_numpy(v).to(self.device) for v in (of_images, of_spectra))
            one, other = (functional.normalize(self._model.project(v), dim=-1) for v in both)
            return one.cpu().numpy(), other.cpu().numpy()
        scale = of_images.std(0) + 1e-9
        return of_images / scale, of_spectra / scale


def _linear_map(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset that bring source to target, by ridge regression."""
    middle, aim = source.mean(0), target.mean(0)
    centred = source - middle
    gram = centred.T @ centred + RIDGE * len(source) * np.eye(source.shape[1])
    matrix = np.linalg.solve(gram, centred.T @ (target - aim))
    return matrix, aim - middle @ matrix


def _joined(parts: list[Any]) -> Normal | Point:
    """Posteriors of several batches as one."""
    mean = torch.cat([part.mean for part in parts])
    if isinstance(parts[0], Point):
        return Point(mean)
    return Normal(mean, torch.cat([part.log_sd for part in parts]))


def _as_variables(name: str, posterior: Any, axis: str) -> dict[str, Any]:
    where = (dims.SITE, axis)
    found = {
        name: (where, posterior.mean.cpu().numpy(), dims.attrs(name.replace("_", ", from the ")))
    }
    if isinstance(posterior, Normal):
        sd = posterior.log_sd.exp().cpu().numpy()
        found[f"{name}_sd"] = (where, sd, dims.attrs(f"sd of {name}"))
    return found
