"""The device on which models run."""

import torch


def device_of(name: str) -> torch.device:
    """The device meant by `auto`, `cpu` or `cuda`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
