"""Networks that mark images as a folder: safetensors for the weights, JSON for how they were trained."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from invae.config.segment import NetworkConfig
from invae.errors import StoreError
from invae.models.networks.unet import UNet
from invae.segmentation.tasks import ATOMS, Task, task_of
from invae.storage.json_text import parsed
from invae.storage.provenance import digest_json, versions

SHIPPED = Path(__file__).parent / "weights"
"""The networks that come with the package: `invae train-finder` and `invae train-walls` with the default settings."""


def files_of(task: Task) -> tuple[str, str]:
    """Names of the files with the weights and with the card of a task."""
    return f"{task.name}.safetensors", f"{task.name}.json"


def unfinished(folder: Path, config: NetworkConfig) -> Path:
    """The hidden folder in which a network of this configuration grows, and its checkpoints; others are removed.

    Raises:
        StoreError: `folder` holds something else than a network, or nothing can be written there.
    """
    from invae.storage import store

    refuse_other_content(folder, task_of(config))
    return store.begin(folder, _key(config))


def _key(config: NetworkConfig) -> str:
    return digest_json([versions()["invae"], config.model_dump(mode="json")])


def save(
    folder: Path,
    network: nn.Module,
    config: NetworkConfig,
    *,
    scores: Mapping[str, float],
    calibration: Mapping[str, list[float]] | None = None,
) -> None:
    """Write a network, its kernels in half precision, and its scores: afterwards there is a whole one or none.

    A network that was there before is deleted when the new one is complete.

    Raises:
        StoreError: The folder holds something else.
    """
    partial, retired = unfinished(folder, config), folder.with_name(f".{folder.name}.retired")
    weights_file, card_file = (partial / name for name in files_of(task_of(config)))
    state = network.state_dict()
    weights = {name: value.half() if value.ndim == 4 else value for name, value in state.items()}
    save_file(weights, weights_file)
    weights_file.chmod(0o644)  # safetensors makes it readable by its owner alone
    card = {
        "config": config.model_dump(mode="json"),
        "judged": dict(scores),
        "versions": versions(),
    }
    card |= {"calibration": dict(calibration)} if calibration else {}
    card_file.write_text(json.dumps(card, indent=1) + "\n")
    for leftover in set(partial.iterdir()) - {weights_file, card_file}:
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    shutil.rmtree(retired, ignore_errors=True)
    if folder.exists():
        folder.rename(retired)
    partial.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)


def refuse_other_content(folder: Path, task: Task) -> None:
    """Refuse a folder that holds more than a network of a task: a new network would replace all of it.

    Raises:
        StoreError: It does, or it is no folder.
    """
    if not folder.exists():
        return
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else [folder.name]
    others = [n for n in names if not folder.is_dir() or n not in files_of(task)]
    if others:
        raise StoreError(f"{folder} holds {others[0]}, which is no network; choose a new folder")


def load(folder: Path = SHIPPED) -> UNet:
    """The network of a folder that marks atoms, ready to use.

    Raises:
        StoreError: The folder holds none, or a broken one.
    """
    network, _ = load_whole(folder, ATOMS)
    assert isinstance(network, UNet)
    return network


def load_whole(folder: Path, task: Task) -> tuple[nn.Module, Mapping[str, Any]]:
    """All networks of a folder and its card.

    Raises:
        StoreError: The folder holds none, or broken ones.
    """
    weights_file, card_file = (folder / name for name in files_of(task))
    try:
        card = parsed(card_file.read_text())
        network = task.whole(task.config.model_validate(card["config"]))
        network.load_state_dict(load_file(weights_file))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"{folder} holds no network that marks {task.words}: {reason}; make one with `invae {task.command} --out {folder}`"
        ) from error
    return network.eval(), card
