"""Penalties as somebody would write them, named by `module:function` in the tests."""

from torch import Tensor

from invae.models.penalties import PenaltyView


def dark(view: PenaltyView, *, level: float = 0.0) -> Tensor:
    """Mean squared excess of the reconstruction over a level."""
    return ((view.reconstruction - level).clamp(min=0) ** 2).mean((1, 2, 3))


def content_squared(view: PenaltyView) -> Tensor:
    """Never looks at the reconstruction."""
    return (view.content**2).sum(-1)


def without_patches(view: PenaltyView) -> Tensor:
    """One value for the whole batch: not what is asked for."""
    return view.content.sum()


NO_FUNCTION = 3
