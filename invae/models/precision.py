"""Precision: geometry and likelihoods stay in float32 where networks run in bfloat16."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def full_precision(like: Tensor) -> AbstractContextManager[Any]:
    """A context without automatic casts on the device of a tensor; tensors without data (`meta`) have none."""
    if like.is_meta:
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)
