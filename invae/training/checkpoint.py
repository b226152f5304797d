"""Checkpoints: one file, written whole or not at all, from which a killed training goes on to the same values."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from invae.storage.json_text import parsed
from invae.training.fit import Fit
from invae.training.history import Epoch

CHECKPOINT_FILE = "checkpoint.safetensors"
START_FOLDER = "start"
"""Folder with the checkpoint of the model without classes, from which a model with classes begins."""


OnEpoch = Callable[[Epoch], None]


def ignore(epoch: Epoch) -> None:
    """Do nothing at the end of an epoch."""


def run_epochs(
    fit: Fit[Any],
    *,
    folder: Path | None,
    seconds_between: float,
    on_epoch: OnEpoch = ignore,
) -> None:
    """Train to the end; with a folder, go on from its last checkpoint and write one now and then.

    Args:
        fit: A fresh one.
        folder: Of the checkpoint; none is written when empty.
        seconds_between: Least time between two checkpoints [s].
        on_epoch: Called after every epoch; after a resumption with the epochs of the checkpoint first.
    """
    if folder is not None and read_checkpoint(folder, fit):
        for epoch in fit.history:
            on_epoch(epoch)
    saved = monotonic()
    for epoch in fit.epochs():
        on_epoch(epoch)
        due = monotonic() - saved >= seconds_between
        if folder is not None and fit.team.leads and due:
            write_checkpoint(folder, fit)
            saved = monotonic()


def write_checkpoint(folder: Path, fit: Fit[Any]) -> None:
    """State of the learner's module, that of the best epoch, optimizer, gradient norms and history.

    There is no state of random numbers to keep: those of every epoch follow from the seed and its number.
    """
    module = fit.learner.module
    tensors = {f"model/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in fit.best.items()}
    for index, state in fit.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    tensors |= {f"average/{index}": mean for index, mean in enumerate(fit.average.means)}
    tensors["norms"] = fit.clip.norms
    metadata = {
        "history": [e.to_json() for e in fit.history],
        "n_norms": fit.clip.count,
        "n_averaged": fit.average.count,
    }
    partial = folder / f".{CHECKPOINT_FILE}"
    copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    partial.write_bytes(save(copies, metadata={"fit": json.dumps(metadata)}))
    partial.replace(folder / CHECKPOINT_FILE)


def read_checkpoint(folder: Path, fit: Fit[Any]) -> bool:
    """Bring a fresh `Fit` to the state of the last checkpoint; False if there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return False
    content = path.read_bytes()
    metadata = _metadata(content)
    tensors = {name: value.to(fit.training.device) for name, value in load(content).items()}
    fit.learner.module.load_state_dict(_under("model/", tensors))
    fit.best = _under("best/", tensors)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer/", tensors).items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = value
    fit.optimizer.load_state_dict({**fit.optimizer.state_dict(), "state": state})
    fit.clip.norms, fit.clip.count = tensors["norms"], int(metadata["n_norms"])
    for index, mean in _under("average/", tensors).items():
        fit.average.means[int(index)].copy_(mean)
    fit.average.count = int(metadata.get("n_averaged", 0))
    fit.history = [Epoch(**values) for values in metadata["history"]]
    return True


def _metadata(content: bytes) -> dict[str, Any]:
    """The JSON metadata of the tensors: a safetensors file begins with the length of its header and the header."""
    length = int.from_bytes(content[:8], "little")
    return parsed(parsed(content[8 : 8 + length])["__metadata__"]["fit"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def remove_checkpoint(folder: Path) -> None:
    """Delete the checkpoints of a finished training."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    if (folder / START_FOLDER).is_dir():
        (folder / START_FOLDER / CHECKPOINT_FILE).unlink(missing_ok=True)
        (folder / START_FOLDER).rmdir()
