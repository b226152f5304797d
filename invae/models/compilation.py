"""`torch.compile`, and functions that are excluded from it.

`torch.compiler.disable` loads the compiler (torch._dynamo, 1.0 s of CPU), so it is called only when something is compiled.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

_UNCOMPILED: "list[Uncompiled[..., Any]]" = []


class Uncompiled(Generic[P, R]):
    """A function that runs eagerly inside compiled code, once `compile_function` was called."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = self.call = function
        update_wrapper(self, function)
        _UNCOMPILED.append(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.call(*args, **kwargs)


def uncompiled(function: Callable[P, R]) -> Uncompiled[P, R]:
    """The same function, excluded by `compile_function`.

    Inductor computes wrong gradients where its graph has complex numbers (torch 2.13: gradients of the disc's likelihood are off
    by up to twice their size, without a warning), so Fourier transforms are excluded.
    """
    return Uncompiled(function)


def compile_function(function: Callable[P, R]) -> Callable[P, R]:
    """A function compiled by torch; `uncompiled` functions that it calls run eagerly."""
    for each in _UNCOMPILED:
        each.call = torch.compiler.disable(each.function)
    return torch.compile(function)
