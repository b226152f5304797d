"""A network that marks atoms as a folder: safetensors for the weights, JSON for how it was trained."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from invae.config.segment import AtomNetworkConfig
from invae.errors import StoreError
from invae.models.networks.unet import AtomNetwork
from invae.storage.json_text import parsed
from invae.storage.provenance import digest_json, versions

WEIGHTS_FILE, CARD_FILE = "atoms.safetensors", "atoms.json"
SHIPPED = Path(__file__).parent / "weights"
"""The network that comes with the package: `invae train-finder` with the default settings."""


def unfinished(folder: Path, config: AtomNetworkConfig) -> Path:
    """The hidden folder in which a network of this configuration grows, and its checkpoint; others are removed.

    Raises:
        StoreError: `folder` holds something else than a network, or nothing can be written there.
    """
    from invae.storage import store

    refuse_other_content(folder)
    return store.begin(folder, _key(config))


def _key(config: AtomNetworkConfig) -> str:
    return digest_json([versions()["invae"], config.model_dump(mode="json")])


def save(
    folder: Path, network: AtomNetwork, config: AtomNetworkConfig, *, scores: Mapping[str, float]
) -> None:
    """Write a network, its kernels in half precision, and its scores: afterwards there is a whole one or none.

    A network that was there before is deleted when the new one is complete.

    Raises:
        StoreError: The folder holds something else.
    """
    partial, retired = unfinished(folder, config), folder.with_name(f".{folder.name}.retired")
    state = network.state_dict()
    weights = {name: value.half() if value.ndim == 4 else value for name, value in state.items()}
    save_file(weights, partial / WEIGHTS_FILE)
    (partial / WEIGHTS_FILE).chmod(0o644)  # safetensors makes it readable by its owner alone
    card = {
        "config": config.model_dump(mode="json"),
        "judged": dict(scores),
        "versions": versions(),
    }
    (partial / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")
    for leftover in set(partial.iterdir()) - {partial / WEIGHTS_FILE, partial / CARD_FILE}:
        leftover.unlink()
    shutil.rmtree(retired, ignore_errors=True)
    if folder.exists():
        folder.rename(retired)
    partial.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)


def refuse_other_content(folder: Path) -> None:
    """Refuse a folder that holds more than a network: a new network would replace all of it.

    Raises:
        StoreError: It does, or it is no folder.
    """
    if not folder.exists():
        return
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else [folder.name]
    others = [n for n in names if not folder.is_dir() or n not in (WEIGHTS_FILE, CARD_FILE)]
    if others:
        raise StoreError(f"{folder} holds {others[0]}, which is no network; choose a new folder")


def load(folder: Path = SHIPPED, *, device: torch.device | None = None) -> AtomNetwork:
    """The network of a folder, ready to use.

    Raises:
        StoreError: The folder holds none, or a broken one.
    """
    try:
        card = parsed((folder / CARD_FILE).read_text())
        network = AtomNetwork(AtomNetworkConfig.model_validate(card["config"]).width)
        network.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"{folder} holds no network that marks atoms: {reason}; make one with `invae train-finder --out {folder}`"
        ) from error
    return network.to(device or torch.device("cpu")).eval()
