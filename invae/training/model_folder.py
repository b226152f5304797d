"""A trained model as a folder: safetensors for the numbers, JSON for the rest; nothing is unpickled."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from invae import dims
from invae.config import ModelConfig, TrainingConfig
from invae.errors import InputError, StoreError
from invae.models.batch import Geometry
from invae.models.build import build
from invae.models.vae import VAE
from invae.training.dataset import Part, channels_of
from invae.training.fit import Epoch
from invae.training.split import Split

if TYPE_CHECKING:
    import xarray as xr

WEIGHTS_FILE, CARD_FILE = "model.safetensors", "model.json"
HISTORY_FILE, SPLIT_FILE, PARTS_FILE = "history.json", "split.json", "recordings.json"


@dataclass(frozen=True)
class Trained:
    """A model that has seen data, and what is known about that data."""

    model: VAE
    config: ModelConfig
    channels: tuple[str, ...]
    pixel_size_nm: float | None
    content_range: tuple[tuple[float, float], ...]
    """Where the content of the training sites lies: 2.5 % and 97.5 % quantiles by latent."""
    seed: int
    history: Sequence[Epoch]
    split: Split
    training: TrainingConfig
    """How it was trained."""

    def refuse_other(self, geometry: Geometry) -> None:
        """Stop patches of a shape the model was not made for.

        Raises:
            InputError: The shapes differ.
        """
        if geometry != (own := self.model.geometry):
            raise InputError(mismatch(geometry, own))

    def card(self) -> dict[str, Any]:
        """What `model.json` says."""
        standard, geometry = self.model.standardise, self.model.geometry
        return {
            "config": self.config.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "geometry": asdict(geometry),
            "channels": list(self.channels),
            "pixel_size_nm": self.pixel_size_nm,
            "normalisation": {
                "offset": standard.offset.flatten().tolist(),
                "scale": standard.scale.flatten().tolist(),
            },
            "priors": {name: asdict(prior) for name, prior in self.model.priors.items()},
            "content_range": [list(limits) for limits in self.content_range],
            "seed": self.seed,
            "held_out": self.history[-1].held_out if self.history else {},
        }


def save(folder: Path, trained: Trained) -> None:
    """Write a model into a folder that exists."""
    weights = {k: v.detach().cpu().contiguous() for k, v in trained.model.state_dict().items()}
    (folder / WEIGHTS_FILE).write_bytes(save_tensors(weights))
    _write(folder / CARD_FILE, trained.card())
    _write(folder / HISTORY_FILE, [epoch.to_json() for epoch in trained.history])
    split = {"training": trained.split.training, "held_out": trained.split.held_out}
    runs = {name: _ranges(sites) for name, sites in split.items()}
    (folder / SPLIT_FILE).write_text(json.dumps(runs) + "\n")


def save_parts(folder: Path, parts: Sequence[Part]) -> None:
    """Write down which recordings a model was trained on, and how many sites each gave, where there are several."""
    if len(parts) > 1:
        _write(folder / PARTS_FILE, [asdict(part) for part in parts])


def load_parts(folder: Path) -> list[Part]:
    """The recordings that a model was trained on, in the order of its sites; none if it was one alone."""
    path = folder / PARTS_FILE
    return [Part(**part) for part in json.loads(path.read_text())] if path.is_file() else []


def load(folder: Path, *, device: torch.device | None = None) -> Trained:
    """The model of a folder, ready to use.

    Raises:
        StoreError: The folder holds no model, or a broken one.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text())
        history = [Epoch(**e) for e in json.loads((folder / HISTORY_FILE).read_text())]
        split = json.loads((folder / SPLIT_FILE).read_text())
        config = ModelConfig.model_validate(card["config"])
        training = TrainingConfig.model_validate(card["training"])
        model = build(config, Geometry(**card["geometry"]), seed=card["seed"])
        model.load_state_dict(load_tensors((folder / WEIGHTS_FILE).read_bytes()))
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
    )


def refuse_unfit(folder: Path, dataset: "xr.Dataset", *, patches: str | Path) -> None:
    """Stop a model from being taken for patches of another kind than it was trained on.

    Raises:
        StoreError: The folder holds no model.
        InputError: Shape or channels of the patches differ.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text())
        geometry, channels = Geometry(**card["geometry"]), tuple(card["channels"])
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise StoreError(f"{folder} holds no model that can be loaded: {_first(error)}") from error
    own = Geometry(*(dataset.sizes[name] for name in dims.PATCH[1:]))
    if own != geometry:
        raise InputError(
            f"{patches}: {mismatch(own, geometry)}; describe with the settings that it was trained under"
        )
    if (names := channels_of(dataset)) != channels:
        raise InputError(
            f"{patches} has the channels {', '.join(names)}, the model {folder} takes "
            f"{', '.join(channels)}; describe with the settings that it was trained under"
        )


def mismatch(geometry: Geometry, own: Geometry) -> str:
    """In words, how patches differ from what a model takes."""
    return (
        f"patches have {geometry.n_channels} channels of {geometry.height} × {geometry.width} "
        f"pixels, the model takes {own.n_channels} of {own.height} × {own.width}"
    )


def _write(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _ranges(sites: np.ndarray) -> list[list[int]]:
    """Ascending sites as [first, last + 1] runs: a million sites in blocks are a few lines."""
    if len(sites) == 0:
        return []
    cuts = np.flatnonzero(np.diff(sites) != 1)
    firsts, lasts = sites[np.r_[0, cuts + 1]], sites[np.r_[cuts, len(sites) - 1]]
    return np.stack((firsts, lasts + 1), axis=1).tolist()


def _sites(ranges: Sequence[Sequence[int]]) -> np.ndarray:
    runs = [np.arange(first, stop) for first, stop in ranges]
    return np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)
