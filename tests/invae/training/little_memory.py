"""A device whose memory ends where it is said: there need be no GPU to see what becomes of PyTorch's refusal."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Memory(TorchFunctionMode):
    """A device that holds so many of a layer's inputs for the gradient; remembers how many it held at most."""

    def __init__(self, limit: float = float("inf")) -> None:
        super().__init__()
        self.limit, self.most = limit, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.linear and torch.is_grad_enabled():
            if args[0].numel() > self.limit:
                raise torch.OutOfMemoryError("out of memory")
            self.most = max(self.most, args[0].numel())
        return func(*args, **(kwargs or {}))
