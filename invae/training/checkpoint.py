"""Checkpoints: one file, written whole or not at all, from which a killed training goes on to the same values."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from invae.training.fit import Epoch, Fit

CHECKPOINT_FILE = "checkpoint.safetensors"
START_FOLDER = "start"
"""Where a model with classes keeps the checkpoint of the one it begins from."""


def write_checkpoint(folder: Path, fit: Fit) -> None:
    """Weights, best weights, optimizer, gradient norms and history.

    There is no state of random numbers to keep: every epoch's follow from the seed and its number.
    """
    tensors = {f"model/{name}": value for name, value in fit.model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in fit.best.items()}
    for index, state in fit.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    tensors["norms"] = fit.clip.norms
    told = {"history": [e.to_json() for e in fit.history], "n_norms": fit.clip.count}
    partial = folder / f".{CHECKPOINT_FILE}"
    copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    partial.write_bytes(save(copies, metadata={"fit": json.dumps(told)}))
    partial.replace(folder / CHECKPOINT_FILE)


def read_checkpoint(folder: Path, fit: Fit) -> bool:
    """Put a fresh `Fit` where the last checkpoint stood; False if there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return False
    content = path.read_bytes()
    told = _told(content)
    tensors = {name: value.to(fit.training.device) for name, value in load(content).items()}
    fit.model.load_state_dict(_under("model/", tensors))
    fit.best = _under("best/", tensors)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer/", tensors).items():
        index, _, key = name.partition("/")
        # Adam counts its steps on the CPU, whatever the device.
        state.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
    fit.optimizer.load_state_dict({**fit.optimizer.state_dict(), "state": state})
    fit.clip.norms, fit.clip.count = tensors["norms"], int(told["n_norms"])
    fit.history = [Epoch(**values) for values in told["history"]]
    return True


def _told(content: bytes) -> dict[str, Any]:
    """What `write_checkpoint` told beside the tensors: safetensors begin with the length of their header, and the header."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["fit"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def remove_checkpoint(folder: Path) -> None:
    """Forget the checkpoints of a finished training."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    if (folder / START_FOLDER).is_dir():
        (folder / START_FOLDER / CHECKPOINT_FILE).unlink(missing_ok=True)
        (folder / START_FOLDER).rmdir()


def device_of(name: str) -> torch.device:
    """The device meant by `auto`, `cpu` or `cuda`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
