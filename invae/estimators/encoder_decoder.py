"""`EncoderDecoder`: spectra from images with intervals, or images from spectra."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from invae import dims
from invae.config import TrainingConfig
from invae.config.pairs import HeteroscedasticNoise, PairsModelConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.estimators.pairs import SPECTRUM, PairData, Pairs, SpectralAxis, pairs_of
from invae.models.batch import Geometry, Patches
from invae.models.inference import Inference
from invae.models.pairs.build import build_pairs
from invae.models.pairs.pair_model import PairModel
from invae.models.pairs.spectrum_generator import SpectrumGenerator
from invae.models.signals import IMAGE, Signals
from invae.progress import Progress, silent
from invae.regression import scores
from invae.regression.gaussian_process import GaussianProcess
from invae.training.device import device_of
from invae.training.folds import Folds, folds_of
from invae.training.pair_training import PairMember, train_members
from invae.training.split import Split

if TYPE_CHECKING:
    import xarray as xr

CARD_FILE, PROCESS_FILE, HELD_OUT_FILE = "model.json", "process.safetensors", "held_out.safetensors"
BATCH = 512
NORMAL_90 = 1.6448536269514722
"""Half width of the 90 % interval of a standard Normal."""
TRAINING = {"learning_rate": 2e-3, "averaging": 0.995, "patience": 40}
"""What differs from the defaults of a training: single steps scatter more than for one signal."""
WEIGHTS = np.linspace(0, 1, 21)
"""Weights of the networks that are tried, beside the Gaussian process."""
PRIOR_FOLDS = 2
"""Folds that say beforehand that networks and process are equally good, and that intervals are as wide as they should be."""


@dataclass(frozen=True)
class Predicted:
    """Spectra as a mixture of the members predicts them."""

    mean: np.ndarray
    """(site, energy)"""
    sd_noise: np.ndarray
    sd_model: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """Of an observation."""
        return np.sqrt(self.sd_noise**2 + self.sd_model**2)


def mixed(parts: Sequence[Predicted], weights: Sequence[float]) -> Predicted:
    """Mean and variances of a mixture: noise is the mean of the members' noise, ignorance their own and their disagreement."""
    mean = sum(w * p.mean for w, p in zip(weights, parts, strict=True))
    noise = sum(w * p.sd_noise**2 for w, p in zip(weights, parts, strict=True))
    model = sum(
        w * (p.sd_model**2 + (p.mean - mean) ** 2) for w, p in zip(weights, parts, strict=True)
    )
    assert not isinstance(mean, int | float)
    return Predicted(np.asarray(mean), np.sqrt(noise), np.sqrt(model))


class EncoderDecoder:
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
    ) -> None:
        """Choose a model.

        Args:
            source: What is given.
            target: What is predicted.
            latent_dim: Number of latent variables of a network.
            n_members: Number of networks that learn from all pairs; with 0 the Gaussian process answers alone.
            n_folds: Parts that are held out in turn.
            process: Whether the Gaussian process is a member; only for predicted spectra with the default likelihood.
            beta: Weight of the KL divergence; 0 of im2spec is a deterministic encoder, the default there.
            coverage: Of the intervals of `predict`.
            seed: Weights, order of the pairs, noise and folds follow from it.
            model: Further settings of the networks (`invae.config.pairs.PairsModelConfig`).
            training: Epochs, batches, learning rate, … (`invae.config.TrainingConfig`).
            device: auto, cpu or cuda.

        Raises:
            ConfigError: An option does not exist or has no such value.
        """
        if {source, target} != {IMAGE, SPECTRUM}:
            raise ConfigError(
                f"source {source!r} and target {target!r}: one is image, the other spectrum"
            )
        if not 0 < coverage < 1:
            raise ConfigError(f"coverage {coverage:g} is not between 0 and 1")
        family = "im2spec" if target == SPECTRUM else "spec2im"
        beta = (0.0 if family == "im2spec" else 1.0) if beta is None else beta
        given = dict(model if isinstance(model, Mapping) else model.model_dump() if model else {})
        try:
            self.config = PairsModelConfig.model_validate(
                {"latent_dim": latent_dim, "beta": beta, **given, "family": family}
            )
            asked = training.model_dump() if isinstance(training, TrainingConfig) else training
            self.training = TrainingConfig.model_validate({**TRAINING, **(asked or {})})
        except ValidationError as error:
            raise ConfigError("; ".join(e["msg"] for e in error.errors())) from error
        plain = isinstance(self.config.likelihood, HeteroscedasticNoise)
        self.uses_process = process and family == "im2spec" and plain
        if not n_members and not self.uses_process:
            raise ConfigError("there is no member; set n_members to 1 or more")
        self.source, self.target = source, target
        self.n_members, self.n_folds, self.coverage = n_members, n_folds, coverage
        self.seed, self.device = seed, device_of(device)
        self._state: _State | None = None

    def fit(self, pairs: PairData, *, progress: Progress = silent) -> EncoderDecoder:
        """Learn from pairs; returns the estimator itself.

        Args:
            pairs: A mapping with `image` (site, y, x) or (site, channel, y, x), `spectrum` (site, energy), and if known
                `specimen` (site) and `axis` (energy); or a Dataset or store with `patch` and `spectrum`.
            progress: Called with finished and all epochs.

        Raises:
            InputError: The pairs cannot be learned from.
            TrainingDiverged: The loss became infinite or not a number.
        """
        given = pairs_of(pairs)
        if len(given) < 8:
            raise InputError(f"{len(given)} pair(s) are too few to learn from; give 8 or more")
        assert given.spectra is not None
        assert given.axis is not None
        if given.spectra.max() == given.spectra.min():
            raise InputError(
                f"all spectra are constant ({given.spectra.max():g}); there is nothing to learn"
            )
        folds = folds_of(
            len(given),
            n_folds=self.n_folds,
            seed=self.seed,
            specimen=given.specimen,
            places=given.places,
        )
        held_out = self._held_out(given, folds, progress)
        everything = Split(np.arange(len(given)), np.zeros(0, int))
        networks = self._train(given, [everything] * self.n_members, held_out.n_epochs, progress)
        process = None
        if self.uses_process:
            process = GaussianProcess.fit(given.patches, given.spectra, seed=self.seed)
        self._state = _State(
            [member.model for member in networks],
            [[epoch.to_json() for epoch in member.history] for member in networks],
            process,
            given.axis,
            given.units,
            given.patches.shape[1:],
            held_out,
            folds.by,
        )
        return self

    def predict(self, images: PairData | np.ndarray) -> xr.Dataset:
        """Spectra of image patches, or images of spectra.

        Of spectra: `mean`, `sd_noise` (scatter of a spectrum that the image does not determine), `sd_model` (what the training pairs
        leave open), `lower` and `upper` (site, energy), in the unit of the spectra. The interval holds its coverage for specimens like
        those of the training.

        Raises:
            InputError: The patches have another shape than those of the training.
        """
        import xarray as xr

        if self.target == IMAGE:
            return self._images(images)
        given = self._inputs(images)
        said = self._combined(given.patches)
        state = self._trained
        half = NORMAL_90 * state.held_out.scale * said.sd
        values = {
            "mean": (said.mean, "predicted spectrum"),
            "sd_noise": (said.sd_noise, "sd of a spectrum about the prediction"),
            "sd_model": (said.sd_model, "sd of the prediction"),
            "lower": (said.mean - half, f"lower end of the {100 * self.coverage:g} % interval"),
            "upper": (said.mean + half, f"upper end of the {100 * self.coverage:g} % interval"),
        }
        axis = state.axis
        return xr.Dataset(
            {
                name: (
                    (dims.SITE, axis.name),
                    value.astype(np.float32),
                    dims.attrs(words, state.units),
                )
                for name, (value, words) in values.items()
            },
            coords={
                axis.name: (axis.name, axis.values, {"units": axis.units}),
                **(given.coords or {}),
            },
            attrs={"coverage": self.coverage, "held_out_by": state.by},
        )

    def encode(self, data: PairData | np.ndarray) -> xr.Dataset:
        """Latent variables `content` (site, latent) of the first network, from what it is given in `predict`."""
        import xarray as xr

        if not self._trained.networks:
            raise InputError(
                "an estimator without networks has no latent variables; set n_members to 1"
            )
        if self.source == IMAGE:
            given = self._inputs(data)
            latents = self._infer(self._trained.networks[0], given.patches).latents["content"]
            coords = given.coords or {}
        else:
            latents, coords = self._codes(self._spectra(data)), {}
        attrs = dims.attrs("content: what determines the other signal")
        return xr.Dataset(
            {"content": ((dims.SITE, dims.LATENT), latents.cpu().numpy(), attrs)}, coords=coords
        )

    @torch.no_grad()
    def sample(self, data: PairData | np.ndarray, n: int = 8, *, seed: int = 0) -> xr.DataArray:
        """Possible targets of every source: (sample, site, energy), or (sample, site, channel, patch_y, patch_x).

        Spectra are without the noise of single channels; images stand upright.

        Args:
            data: As for `predict`; spectra (site, energy) if images are the target.
            n: Number of samples per site.
            seed: Of the samples.
        """
        import xarray as xr

        rng = np.random.default_rng([self.seed, seed, 13])
        if self.target == IMAGE:
            spectra = self._spectra(data)
            drawn = [self._draw_images(spectra, rng) for _ in range(n)]
            return xr.DataArray(np.stack(drawn), dims=("sample", *dims.PATCH))
        given = self._inputs(data)
        axis, state = self._trained.axis, self._trained
        parts, weights = self._parts(given.patches)
        if not isinstance(self.config.likelihood, HeteroscedasticNoise):
            values = np.stack([self._draw_spectra(given.patches, rng) for _ in range(n)])
        else:
            chosen = rng.choice(len(parts), size=(n, len(given)), p=np.asarray(weights))
            means = np.stack([part.mean for part in parts])
            values = means[chosen, np.arange(len(given))]
        return xr.DataArray(
            values,
            dims=("sample", dims.SITE, axis.name),
            coords={axis.name: (axis.name, axis.values, {"units": axis.units})},
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
            coords={axis.name: (axis.name, axis.values, {"units": axis.units})},
            attrs={
                "r2": scores.r2(found.mean, found.spectra) if len(found.mean) else float("nan"),
                "by": state.by,
                "network_weight": found.weight,
                "interval_scale": found.scale,
                "leaks": state.by == "site",
            },
        )

    def save(self, path: str | Path) -> None:
        """Write a folder: settings as JSON, weights and arrays as safetensors."""
        folder, state = Path(path), self._trained
        folder.mkdir(parents=True, exist_ok=True)
        for number, network in enumerate(state.networks):
            tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
            (folder / _weights_file(number)).write_bytes(save_tensors(tensors))
        if state.process is not None:
            arrays = {k: np.ascontiguousarray(v) for k, v in state.process.state.items()}
            (folder / PROCESS_FILE).write_bytes(save_arrays(arrays))
        found = state.held_out
        arrays = {"mean": found.mean, "sd": found.sd, "spectra": found.spectra}
        (folder / HELD_OUT_FILE).write_bytes(
            save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        )
        card = {
            "estimator": "EncoderDecoder",
            "source": self.source,
            "target": self.target,
            "config": self.config.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "n_members": self.n_members,
            "n_folds": self.n_folds,
            "process": self.uses_process,
            "coverage": self.coverage,
            "seed": self.seed,
            "axis": {**asdict(state.axis), "values": state.axis.values.tolist()},
            "units": state.units,
            "patch": list(state.patch),
            "by": state.by,
            "weight": found.weight,
            "scale": found.scale,
            "n_epochs": found.n_epochs,
            "histories": state.histories,
        }
        (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> EncoderDecoder:
        """The estimator of a folder.

        Raises:
            StoreError: There is none in it, or a damaged one.
        """
        folder = Path(path)
        try:
            card = json.loads((folder / CARD_FILE).read_text())
            made = cls(
                card["source"],
                card["target"],
                n_members=card["n_members"],
                n_folds=card["n_folds"],
                process=card["process"],
                coverage=card["coverage"],
                seed=card["seed"],
                model=card["config"],
                beta=card["config"]["beta"],
                training=card["training"],
                device=device,
            )
            axis = SpectralAxis(**{**card["axis"], "values": np.array(card["axis"]["values"])})
            geometries = _geometries(tuple(card["patch"]), len(axis.values))
            networks = []
            for number in range(card["n_members"]):
                network = build_pairs(made.config, geometries, seed=card["seed"])
                weights = load_tensors((folder / _weights_file(number)).read_bytes())
                network.load_state_dict(weights)
                networks.append(network.to(made.device).eval())
            process = None
            if card["process"]:
                process = GaussianProcess(load_arrays((folder / PROCESS_FILE).read_bytes()))
            arrays = load_arrays((folder / HELD_OUT_FILE).read_bytes())
            found = HeldOut(
                **arrays, weight=card["weight"], scale=card["scale"], n_epochs=card["n_epochs"]
            )
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
        made._state = _State(
            networks,
            card["histories"],
            process,
            axis,
            card["units"],
            tuple(card["patch"]),
            found,
            card["by"],
        )
        return made

    def _held_out(self, given: Pairs, folds: Folds, progress: Progress) -> HeldOut:
        """What members say of pairs that they have not seen; their weights and the width of intervals follow from it."""
        assert given.spectra is not None
        shape = given.spectra.shape
        # Images have no intervals: one split is enough to choose the number of epochs.
        splits = folds.splits[:1] if self.target == IMAGE else folds.splits
        networks = self._train(given, splits if self.n_members else [], None, progress, first=100)
        n_epochs = _usual_epochs(networks)
        if self.target == IMAGE:
            empty = np.zeros((0, shape[1]), np.float32)
            return HeldOut(empty, empty, empty, 1.0, 1.0, n_epochs)
        by_network, by_process = (_empty(shape) for _ in range(2))
        for number, split in enumerate(folds.splits):
            here = split.held_out
            if networks:
                said = self._of_network(networks[number].model, given.patches[here])
                _put(by_network, here, said)
            if self.uses_process:
                process = GaussianProcess.fit(
                    given.patches[split.training], given.spectra[split.training], seed=self.seed
                )
                _put(by_process, here, _of_process(process, given.patches[here]))
        weight = _weight(by_network, by_process, given.spectra, networks, self.uses_process)
        trust = len(folds.splits) / (len(folds.splits) + PRIOR_FOLDS)
        if networks and self.uses_process:
            weight = trust * weight + (1 - trust) * 0.5
        both = mixed([by_network, by_process], [weight, 1 - weight])
        if weight in (0.0, 1.0):
            both = by_network if weight else by_process
        ratio = np.abs(given.spectra - both.mean) / np.maximum(both.sd, 1e-12)
        scale = (float(np.quantile(ratio, self.coverage)) / NORMAL_90) ** trust
        return HeldOut(
            both.mean.astype(np.float32),
            both.sd.astype(np.float32),
            given.spectra,
            weight,
            scale,
            n_epochs,
        )

    def _train(
        self,
        given: Pairs,
        splits: Sequence[Split],
        n_epochs: int | None,
        progress: Progress,
        *,
        first: int = 0,
    ) -> list[PairMember]:
        if not splits:
            return []
        training = self.training
        if n_epochs is not None:
            training = training.model_copy(update={"epochs": n_epochs, "patience": n_epochs})
        return train_members(
            given.source(),
            splits,
            model=self.config,
            training=training,
            seed=self.seed + first,
            device=self.device,
            progress=progress,
        )

    @property
    def _trained(self) -> _State:
        if self._state is None:
            raise InputError("this estimator has seen no data; call fit or load first")
        return self._state

    def _inputs(self, images: PairData | np.ndarray) -> Pairs:
        own = self._trained.patch
        given = pairs_of(images, needs_spectra=False)  # pyright: ignore[reportArgumentType]
        if given.patches.shape[1:] != own:
            c, y, x = given.patches.shape[1:]
            raise InputError(
                f"patches have {c} channel(s) of {y} × {x} pixels, the model takes {own[0]} of {own[1]} × {own[2]}"
            )
        return given

    def _combined(self, patches: np.ndarray) -> Predicted:
        parts, weights = self._parts(patches)
        return mixed(parts, weights)

    def _parts(self, patches: np.ndarray) -> tuple[list[Predicted], list[float]]:
        """What every member says, and the weights of the members."""
        state = self._trained
        weight = state.held_out.weight
        parts = [self._of_network(network, patches) for network in state.networks]
        weights = [weight / max(len(parts), 1)] * len(parts)
        if state.process is not None:
            parts.append(_of_process(state.process, patches))
            weights.append(1 - weight if state.networks else 1.0)
        return parts, weights

    @torch.no_grad()
    def _infer(self, network: PairModel, patches: np.ndarray) -> Inference:
        batch = Signals({IMAGE: Patches(torch.from_numpy(patches).to(self.device))})
        return network.infer(batch)

    @torch.no_grad()
    def _of_network(self, network: PairModel, patches: np.ndarray) -> Predicted:
        means, sds = [], []
        parts = network.parts(SPECTRUM)
        generator = parts.generator
        assert isinstance(generator, SpectrumGenerator)
        for start in range(0, len(patches), BATCH):
            latents = self._infer(network, patches[start : start + BATCH]).latents
            moments = generator.noise.moments(generator.numbers(latents))
            means.append(parts.standardise.undo(moments.mean)[:, 0, 0].cpu().numpy())
            sd = moments.variance.sqrt() * parts.standardise.scale
            sds.append(sd[:, 0, 0].cpu().numpy())
        mean, sd = np.concatenate(means).astype(float), np.concatenate(sds).astype(float)
        return Predicted(mean, sd, np.zeros_like(mean))

    def _draw_spectra(self, patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        network = self._trained.networks[int(rng.integers(len(self._trained.networks)))]
        parts = network.parts(SPECTRUM)
        generator = parts.generator
        assert isinstance(generator, SpectrumGenerator)
        numbers = generator.numbers(self._infer(network, patches).latents)
        state = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        return parts.standardise.undo(generator.noise.draw(numbers, state))[:, 0, 0].cpu().numpy()

    def _spectra(self, data: Any) -> np.ndarray:
        values = data[SPECTRUM] if isinstance(data, Mapping) else data
        values = np.asarray(values, np.float32)
        n_energies = len(self._trained.axis.values)
        if values.ndim != 2 or values.shape[1] != n_energies:
            raise InputError(
                f"spectra have shape {values.shape}, the model takes (site, {n_energies})"
            )
        return values

    @torch.no_grad()
    def _codes(self, spectra: np.ndarray) -> torch.Tensor:
        network = self._trained.networks[0]
        values = torch.from_numpy(spectra[:, None, None]).to(self.device)
        return network.infer(Signals({SPECTRUM: Patches(values)})).latents["content"]

    @torch.no_grad()
    def _draw_images(self, spectra: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        networks = self._trained.networks
        network = networks[0 if rng is None else int(rng.integers(len(networks)))]
        values = torch.from_numpy(spectra[:, None, None]).to(self.device)
        latents = dict(network.infer(Signals({SPECTRUM: Patches(values)})).latents)
        shape = (len(spectra), self.config.private_dim)
        own = np.zeros(shape) if rng is None else rng.normal(size=shape)
        latents[f"{IMAGE}.content"] = torch.from_numpy(own.astype(np.float32)).to(self.device)
        latents["angle"] = torch.zeros(len(spectra), 1, device=self.device)
        return network.parts(IMAGE).decode(latents).mean.cpu().numpy()

    def _images(self, spectra: Any) -> xr.Dataset:
        import xarray as xr

        images = self._draw_images(self._spectra(spectra), None)
        return xr.Dataset({"mean": (dims.PATCH, images, dims.attrs("image of the prior mean"))})


@dataclass(frozen=True)
class HeldOut:
    """Predictions of pairs by members that have not seen them, and what follows from them."""

    mean: np.ndarray
    """(site, energy)"""
    sd: np.ndarray
    spectra: np.ndarray
    weight: float
    """Of the networks together; the rest is that of the Gaussian process."""
    scale: float
    """Factor of all intervals with which they hold their coverage on these pairs. Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116,
    section 2.2, with the residuals divided by their predicted sd."""
    n_epochs: int | None
    """Epochs after which the members were best."""


@dataclass(frozen=True)
class _State:
    """What a fitted estimator knows."""

    networks: list[PairModel]
    histories: list[list[dict[str, Any]]]
    process: GaussianProcess | None
    axis: SpectralAxis
    units: str
    patch: tuple[int, ...]
    held_out: HeldOut
    by: str


def _weights_file(number: int) -> str:
    return f"member_{number:02d}.safetensors"


def _geometries(patch: tuple[int, ...], n_energies: int) -> dict[str, Geometry]:
    return {IMAGE: Geometry(*patch), SPECTRUM: Geometry(1, 1, n_energies)}


def _usual_epochs(members: Sequence[PairMember]) -> int | None:
    """Median of the best epochs of members with held-out pairs."""
    best = [max(e.epoch for e in m.history if e.best) + 1 for m in members if m.history]
    return int(np.median(best)) if best else None


def _empty(shape: tuple[int, ...]) -> Predicted:
    return Predicted(*(np.full(shape, np.nan) for _ in range(3)))


def _put(target: Predicted, here: np.ndarray, values: Predicted) -> None:
    for own, part in zip(
        (target.mean, target.sd_noise, target.sd_model),
        (values.mean, values.sd_noise, values.sd_model),
        strict=True,
    ):
        own[here] = part


def _of_process(process: GaussianProcess, patches: np.ndarray) -> Predicted:
    said = process.predict(patches)
    return Predicted(said.mean, said.sd_noise, said.sd_model)


def _weight(
    by_network: Predicted,
    by_process: Predicted,
    spectra: np.ndarray,
    networks: Sequence[PairMember],
    uses_process: bool,
) -> float:
    """Weight of the networks with the least squared error on pairs that no member has seen."""
    if not networks or not uses_process:
        return 1.0 if networks else 0.0
    errors = [
        ((w * by_network.mean + (1 - w) * by_process.mean - spectra) ** 2).sum() for w in WEIGHTS
    ]
    return float(WEIGHTS[int(np.argmin(errors))])
