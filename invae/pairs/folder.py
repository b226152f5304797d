"""A model of pairs as a folder: safetensors for weights and arrays, JSON for the rest; nothing is unpickled."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import StoreError
from invae.models.batch import Geometry
from invae.models.pairs.build import build_pairs
from invae.models.pairs.pair_model import PairModel
from invae.pairs.data import SpectralAxis
from invae.pairs.designs import Designs
from invae.pairs.fitted import Fitted, HeldOut, geometries
from invae.regression.gaussian_process import GaussianProcess
from invae.storage import manifest
from invae.storage.json_text import parsed

CARD_FILE, PROCESS_FILE, HELD_OUT_FILE = "model.json", "process.safetensors", "held_out.safetensors"
HISTORY_FILE = "history.json"
ARRAYS = ("mean", "sd", "spectra", "fold", "ranks", "contents")
"""Arrays of `HeldOut`."""
DESIGNS = "designs."
"""Beginning of the names of the arrays of `Designs`."""


def save(folder: Path, fitted: Fitted) -> None:
    """Write a model into a folder that exists."""
    for number, network in enumerate(fitted.networks):
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        (folder / _weights_file(number)).write_bytes(save_tensors(tensors))
    if fitted.process is not None:
        _write_arrays(folder / PROCESS_FILE, fitted.process.state)
    found = fitted.held_out
    arrays = {name: getattr(found, name) for name in ARRAYS}
    if found.designs is not None:
        arrays |= {DESIGNS + name: value for name, value in vars(found.designs).items()}
    _write_arrays(folder / HELD_OUT_FILE, arrays)
    histories = {"members": fitted.histories, "folds": found.histories}
    (folder / HISTORY_FILE).write_text(json.dumps(histories, indent=1) + "\n")
    (folder / CARD_FILE).write_text(json.dumps(_card(fitted), indent=1) + "\n")


def _write_arrays(path: Path, arrays: Any) -> None:
    path.write_bytes(save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def _card(fitted: Fitted) -> dict[str, Any]:
    found = fitted.held_out
    return {
        "estimator": "DualVAE" if fitted.config.has_partners else "EncoderDecoder",
        "process": fitted.process is not None,
        "config": fitted.config.model_dump(mode="json"),
        "training": fitted.training.model_dump(mode="json"),
        "seed": fitted.seed,
        "geometry": asdict(Geometry(*fitted.patch)),
        "channels": list(fitted.channels),
        "pixel_size_nm": fitted.pixel_size_nm,
        "axis": {**asdict(fitted.axis), "values": fitted.axis.values.tolist()},
        "units": fitted.units,
        "by": fitted.by,
        "weight": found.weight,
        "scale": found.scale,
        "n_epochs": found.n_epochs,
    }


def load(folder: Path, *, device: torch.device | None = None) -> Fitted:
    """The model of a folder, ready to use.

    Raises:
        StoreError: There is none in it, or a damaged one.
    """
    manifest.check_bytes(folder)
    try:
        return _load(folder, device or torch.device("cpu"))
    except (
        OSError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        SafetensorError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{folder} holds no model of pairs that can be loaded: {first}") from error


def _load(folder: Path, device: torch.device) -> Fitted:
    card = parsed((folder / CARD_FILE).read_text())
    histories = parsed((folder / HISTORY_FILE).read_text())
    config = PairsModelConfig.model_validate(card["config"])
    axis = SpectralAxis(**{**card["axis"], "values": np.array(card["axis"]["values"])})
    shape = Geometry(**card["geometry"])
    patch = (shape.n_channels, shape.height, shape.width)
    shapes = geometries(patch, len(axis.values))
    process = None
    if card["process"]:
        process = GaussianProcess(load_arrays((folder / PROCESS_FILE).read_bytes()))
    arrays = load_arrays((folder / HELD_OUT_FILE).read_bytes())
    made = {name: value for name, value in arrays.items() if name.startswith(DESIGNS)}
    return Fitted(
        config=config,
        training=TrainingConfig.model_validate(card["training"]),
        seed=card["seed"],
        networks=[
            _network(folder / _weights_file(number), config, shapes, card["seed"], device)
            for number in range(config.n_members)
        ],
        histories=histories["members"],
        process=process,
        axis=axis,
        units=card["units"],
        patch=patch,
        channels=tuple(card["channels"]),
        pixel_size_nm=card["pixel_size_nm"],
        held_out=HeldOut(
            **{name: arrays[name] for name in ARRAYS},
            weight=card["weight"],
            scale=card["scale"],
            n_epochs=card["n_epochs"],
            histories=histories["folds"],
            designs=Designs(**{n.removeprefix(DESIGNS): v for n, v in made.items()})
            if made
            else None,
        ),
        by=card["by"],
    )


def _network(
    path: Path,
    config: PairsModelConfig,
    shapes: dict[str, Geometry],
    seed: int,
    device: torch.device,
) -> PairModel:
    network = build_pairs(config, shapes, seed=seed)
    network.load_state_dict(load_tensors(path.read_bytes()))
    return network.to(device).eval()


def _weights_file(number: int) -> str:
    return f"member_{number:02d}.safetensors"
