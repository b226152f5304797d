"""A trained model as a folder: safetensors for the weights, JSON for the rest; nothing is unpickled."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from invae import dims
from invae.config import ModelConfig, TrainingConfig
from invae.errors import InputError, StoreError
from invae.models.batch import Geometry
from invae.models.build import build
from invae.models.signals import IMAGE, SignalParts
from invae.models.vae import VAE
from invae.storage import manifest
from invae.storage.json_text import parsed
from invae.training.dataset import Part, channels_of
from invae.training.history import Epoch
from invae.training.spectral_axis import SpectralAxis, axis_from, spectral_axis_of
from invae.training.split import Split
from invae.verdict.symptoms import StartPatterns, Symptoms, symptoms_from

if TYPE_CHECKING:
    import xarray as xr

WEIGHTS_FILE, CARD_FILE = "model.safetensors", "model.json"
IMAGE_PARTS = f"signals.{IMAGE}."
"""Prefix of the weights of the image's parts in the module; in folders they have always been without it."""
HISTORY_FILE, SPLIT_FILE, PARTS_FILE = "history.json", "split.json", "recordings.json"
SYMPTOMS_FILE, START_FILE = "symptoms.json", "start.safetensors"


@dataclass(frozen=True)
class Trained:
    """A trained model, its training, and the properties of its data."""

    model: VAE
    config: ModelConfig
    channels: tuple[str, ...]
    pixel_size_nm: float | None
    content_range: tuple[tuple[float, float], ...]
    """2.5 % and 97.5 % quantiles of the content of the training sites, by dimension."""
    seed: int
    history: Sequence[Epoch]
    split: Split
    training: TrainingConfig
    """Configuration of the training."""
    axis: SpectralAxis | None = None
    """Of the spectra from which it has learned; also none for models that were saved without it."""
    symptoms: Symptoms | None = None
    """Numbers for the verdict; none for models of versions without a verdict."""
    start: StartPatterns | None = None
    """Patterns of the sites by a model without classes; none where none was trained, or by versions that did not keep them."""

    def refuse_other(self, geometries: Mapping[str, Geometry]) -> None:
        """Refuse signals of another shape than the model's.

        Raises:
            InputError: The shapes differ.
        """
        for name, own in self.model.geometries.items():
            if name in geometries and geometries[name] != own:
                raise InputError(mismatch(geometries[name], own))

    def card(self) -> dict[str, Any]:
        """Content of `model.json`: shape and scale of the image at the top, those of other signals by name under `signals`."""
        signals = {name: _signal_card(self.model.parts(name)) for name in self.model.names}
        image, others = signals.pop(IMAGE, {}), {"signals": signals} if signals else {}
        axis = {} if self.axis is None else {"axis": self.axis.card()}
        return {
            "config": self.config.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            **image,
            **others,
            "channels": list(self.channels),
            "pixel_size_nm": self.pixel_size_nm,
            **axis,
            "priors": {name: asdict(prior) for name, prior in self.model.priors.items()},
            "content_range": [list(limits) for limits in self.content_range],
            "seed": self.seed,
            "held_out": self.history[-1].held_out if self.history else {},
        }


def _signal_card(parts: SignalParts) -> dict[str, Any]:
    standard = parts.standardise
    return {
        "geometry": asdict(parts.geometry),
        "normalisation": {
            "offset": standard.offset.flatten().tolist(),
            "scale": standard.scale.flatten().tolist(),
        },
    }


def stored_weights(model: VAE) -> dict[str, Tensor]:
    """Weights by their names in a folder: those of the image's parts have no prefix."""
    state = model.state_dict()
    return {
        name.removeprefix(IMAGE_PARTS): value.detach().cpu().contiguous()
        for name, value in state.items()
    }


def load_weights(model: VAE, stored: Mapping[str, Tensor]) -> None:
    """Take weights by their names in a folder.

    Raises:
        RuntimeError: Names or shapes differ.
    """
    names = {name.removeprefix(IMAGE_PARTS): name for name in model.state_dict()}
    model.load_state_dict({names.get(name, name): value for name, value in stored.items()})


def save(folder: Path, trained: Trained) -> None:
    """Write a model into a folder that exists."""
    weights = stored_weights(trained.model)
    (folder / WEIGHTS_FILE).write_bytes(save_tensors(weights))
    _write(folder / CARD_FILE, trained.card())
    _write(folder / HISTORY_FILE, [epoch.to_json() for epoch in trained.history])
    split = {"training": trained.split.training, "held_out": trained.split.held_out}
    runs = {name: _ranges(sites) for name, sites in split.items()}
    (folder / SPLIT_FILE).write_text(json.dumps(runs) + "\n")
    if trained.symptoms is not None:
        _write(folder / SYMPTOMS_FILE, trained.symptoms.card())
    if trained.start is not None:
        (folder / START_FILE).write_bytes(save_tensors(_start_tensors(trained.start)))


def _start_tensors(start: StartPatterns) -> dict[str, Tensor]:
    return {
        "sites": torch.from_numpy(np.asarray(start.sites, np.int64)),
        "patterns": torch.from_numpy(start.patterns.astype(np.float32)),
    }


def load_symptoms(folder: Path) -> Symptoms | None:
    """The numbers for the verdict on a model; none for models of versions without a verdict.

    Raises:
        StoreError: They cannot be read.
    """
    path = folder / SYMPTOMS_FILE
    try:
        return symptoms_from(parsed(path.read_text())) if path.is_file() else None
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {_first(error)}; train again") from error


def load_start(folder: Path) -> StartPatterns | None:
    """The patterns in which the classes of a model were found; none if it has none.

    Raises:
        StoreError: They cannot be read.
    """
    path = folder / START_FILE
    try:
        found = load_tensors(path.read_bytes()) if path.is_file() else None
        if found is None:
            return None
        return StartPatterns(found["sites"].numpy(), found["patterns"].numpy().astype(np.float64))
    except (LookupError, ValueError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read: {_first(error)}; train again") from error


def save_parts(folder: Path, parts: Sequence[Part]) -> None:
    """Write the recordings of a training and their numbers of sites, if there are several."""
    if len(parts) > 1:
        _write(folder / PARTS_FILE, [asdict(part) for part in parts])


def load_parts(folder: Path) -> list[Part]:
    """The recordings of a training in the order of its sites; empty if there was only one."""
    path = folder / PARTS_FILE
    return [Part(**part) for part in parsed(path.read_text())] if path.is_file() else []


def load(folder: Path, *, device: torch.device | None = None) -> Trained:
    """The model of a folder, ready to use.

    Raises:
        StoreError: The folder has no model, a broken one, or one that was changed since it was written.
    """
    manifest.check_bytes(folder)
    try:
        card = parsed((folder / CARD_FILE).read_text())
        history = [Epoch(**e) for e in parsed((folder / HISTORY_FILE).read_text())]
        split = parsed((folder / SPLIT_FILE).read_text())
        config = ModelConfig.model_validate(card["config"])
        training = TrainingConfig.model_validate(card["training"])
        model = build(config, Geometry(**card["geometry"]), seed=card["seed"])
        load_weights(model, load_tensors((folder / WEIGHTS_FILE).read_bytes()))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise StoreError(f"{folder} holds no model that can be loaded: {_first(error)}") from error
    return Trained(
        model=model.to(device or torch.device("cpu")).eval(),
        config=config,
        channels=tuple(card["channels"]),
        pixel_size_nm=card["pixel_size_nm"],
        content_range=tuple((low, high) for low, high in card["content_range"]),
        seed=card["seed"],
        history=history,
        split=Split(_sites(split["training"]), _sites(split["held_out"])),
        training=training,
        axis=axis_from(card.get("axis")),
        symptoms=load_symptoms(folder),
        start=load_start(folder),
    )


def refuse_unfit(folder: Path, dataset: "xr.Dataset", *, patches: str | Path) -> None:
    """Refuse patches of another kind than those of the training.

    Raises:
        StoreError: The folder has no model.
        InputError: The patches have another shape, other channels, or spectra on another axis.
    """
    try:
        card = parsed((folder / CARD_FILE).read_text())
        geometry, channels = Geometry(**card["geometry"]), tuple(card["channels"])
        axis = axis_from(card.get("axis"))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise StoreError(f"{folder} holds no model that can be loaded: {_first(error)}") from error
    own = Geometry(*(dataset.sizes[name] for name in dims.PATCH[1:]))
    if own != geometry:
        raise InputError(
            f"{patches}: {mismatch(own, geometry)}; describe with the settings of its training"
        )
    if (names := channels_of(dataset)) != channels:
        raise InputError(
            f"{patches} has the channels {', '.join(names)}, the model {folder} takes "
            f"{', '.join(channels)}; describe with the settings of its training"
        )
    refuse_other_axis(axis, dataset, patches=patches)


def refuse_other_axis(
    axis: SpectralAxis | None, dataset: "xr.Dataset", *, patches: str | Path
) -> None:
    """Refuse spectra on another axis than that of a model, where both are known.

    Raises:
        InputError: Unit or values differ.
    """
    own = spectral_axis_of(dataset)
    if axis is None or own is None:
        return
    try:
        axis.refuse_other(own)
    except InputError as error:
        raise InputError(f"{patches}: {error}") from error


def mismatch(geometry: Geometry, own: Geometry) -> str:
    """The sentence that says how patches differ from those of a model."""
    return (
        f"patches have {geometry.n_channels} channels of {geometry.height} × {geometry.width} "
        f"pixels, the model takes {own.n_channels} of {own.height} × {own.width}"
    )


def _write(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _ranges(sites: np.ndarray) -> list[list[int]]:
    """Ascending sites as runs [first, last + 1]: a million sites in blocks are a few lines."""
    if len(sites) == 0:
        return []
    cuts = np.flatnonzero(np.diff(sites) != 1)
    firsts, lasts = sites[np.r_[0, cuts + 1]], sites[np.r_[cuts, len(sites) - 1]]
    return np.stack((firsts, lasts + 1), axis=1).tolist()


def _sites(ranges: Sequence[Sequence[int]]) -> np.ndarray:
    runs = [np.arange(first, stop) for first, stop in ranges]
    return np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)
