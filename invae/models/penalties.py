"""Penalties: plain functions of latent variables, reconstructions and annotations, with one value per patch.

Two are built in. Any other is named `module:function` in the configuration, is imported when a training begins, and is called as
`function(view, **options)`. Only training does this: a saved model is loaded and used without the code of its penalties.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from invae.config.objective import Option, PenaltyConfig
from invae.errors import ConfigError, InputError
from invae.models.batch import Annotations, Patches
from invae.models.generators import Picture
from invae.models.latents import Latents, Normal, Point, Posterior
from invae.models.signals import Signals

REACH = 3.0
"""Largest distance of neighbouring sites, in units of `length`."""
LEAST_NEIGHBOURS = 0.1
"""Mean weight of the neighbours of a patch below which `smooth` fades: one chance pair must not move the whole batch."""
TINY = 1e-6


@dataclass(frozen=True)
class PenaltyView:
    """A batch as penalties see it."""

    latents: Latents
    """Values by name: those drawn for this step, and the most probable ones where inference is exact; in the model's units."""
    posterior: Mapping[str, Posterior]
    """Posteriors by name, from encoders or Bayes' rule."""
    batch: Signals
    """In the data's own units."""
    decode: Callable[[Latents], Picture]
    """Expected patches of any latents, in the data's own units."""

    @property
    def known(self) -> Annotations:
        """Annotations of the patches."""
        return self.batch.known

    @property
    def patches(self) -> Patches:
        """The first signal: the patches of a model of one signal."""
        return self.batch[next(iter(self.batch))]

    @cached_property
    def content(self) -> Float[Tensor, "batch latent"]:
        """Posterior mean of the content, without the noise of the draw."""
        posterior = self.posterior.get("content")
        return posterior.mean if isinstance(posterior, Normal | Point) else self.latents["content"]

    @cached_property
    def reconstruction(self) -> Float[Tensor, "batch channel y x"]:
        """Expected patches of these latents, in the data's own units; decoded at the first access."""
        return self.decode(self.latents).mean


Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Penalty:
    """A function with its options and its weight."""

    name: str
    weight: float
    function: Function
    options: Mapping[str, Option]

    def __call__(self, view: PenaltyView) -> Float[Tensor, " batch"]:
        """One value per patch, without the weight.

        Raises:
            ConfigError: The function returns something else.
        """
        values = self.function(view, **self.options)
        shape = (len(view.batch),)
        if not isinstance(values, Tensor) or values.shape != shape:
            result = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ConfigError(
                f"penalty {self.name!r} returned {result}; a tensor of shape {shape} is needed"
            )
        return values


def follow(
    view: PenaltyView,
    *,
    variable: str = "target",
    column: int = 0,
    dimension: int = 0,
    by: str = "correlation",
    sign: int = 1,
) -> Float[Tensor, " batch"]:
    """Makes a content dimension follow a known variable; 0 where the variable is unknown.

    By `correlation`: 1 − r over the batch, between 0 and 2, independent of the scale of either. By `difference`: the squared
    distance to the variable standardised over the batch, which also fixes the scale of the content.

    Args:
        view: The batch.
        variable: `target`, `condition`, or `place` (frame, y, x).
        column: Which number of the variable.
        dimension: Which content dimension, from 0.
        by: `correlation` or `difference`.
        sign: 1, or −1 for a content that falls as the variable rises.
    """
    if by not in ("correlation", "difference"):
        raise ConfigError(f"follow: by {by!r} is unknown; choose 'correlation' or 'difference'")
    if sign not in (-1, 1):
        raise ConfigError(f"follow: sign {sign!r} must be 1 or -1")
    content = _column(view.content, dimension, "content")
    value = _column(_variable(view.known, variable), column, variable)
    counted = (~value.isnan()).to(content.dtype)
    wanted = sign * _standardised(value.nan_to_num().to(content.dtype), counted)
    if by == "difference":
        return counted * (content - wanted) ** 2
    n_known = counted.sum().clamp(min=1)
    correlation = (counted * wanted * _standardised(content, counted)).sum() / n_known
    return counted * (1 - correlation)


def smooth(
    view: PenaltyView, *, length: float, frames: float = 0.5, dimension: int | None = None
) -> Float[Tensor, " batch"]:
    """Makes the content of neighbouring sites similar: 0 for a constant field, about 1 for a field without order.

    Every pair of a batch has the weight exp(−d²/2), where d is the distance in units of `length` within a frame and of `frames`
    between frames. The weighted sum of squared differences is divided by the variance of the content (so shrinking the content
    does not help) and by the sum of weights (so the value does not depend on the number of neighbours that a random batch
    contains, down to a tenth of one per patch; below that it fades). Larger batches and fewer sites give more pairs.

    Args:
        view: The batch; its sites need places.
        length: Distance over which the content is to change little [pixel].
        frames: The same between frames [frame].
        dimension: A content dimension, from 0; all when empty.

    Source: Geary 1954, doi:10.2307/2986645; this is the contribution of each patch.
    """
    if length <= 0 or frames <= 0:
        raise ConfigError(f"smooth: length {length:g} and frames {frames:g} must be above 0")
    content = view.content
    if dimension is not None:
        content = _column(content, dimension, "content").unsqueeze(-1)
    place = _variable(view.known, "place").to(content.dtype)
    unit = torch.tensor([frames, length, length], dtype=content.dtype, device=content.device)
    distance = _squares(place / unit).sum(-1)
    weight = torch.exp(-0.5 * distance) * (distance < REACH**2)
    weight = weight * (1 - torch.eye(len(place), dtype=weight.dtype, device=weight.device))
    variance = content.var(dim=0, correction=0) + TINY
    rough = (weight.unsqueeze(-1) * _squares(content) / (2 * variance)).mean(-1).sum(-1)
    return rough / weight.sum(-1).mean().clamp(min=LEAST_NEIGHBOURS)


BUILT_IN: Mapping[str, Function] = {"follow": follow, "smooth": smooth}


def load_penalties(penalties: Sequence[PenaltyConfig]) -> tuple[Penalty, ...]:
    """The penalties of a configuration, ready to be called; imports their modules.

    Raises:
        ConfigError: One cannot be imported, or does not take its options.
    """
    loaded: list[Penalty] = []
    for config in penalties:
        function, name = _function(config.function), config.function.rpartition(":")[2]
        number = sum(p.function is function for p in loaded) + 1
        _refuse_options(config, function)
        name = name if number == 1 else f"{name}_{number}"
        loaded.append(Penalty(name, config.weight, function, config.options))
    return tuple(loaded)


def _function(name: str) -> Function:
    module, _, attribute = name.rpartition(":")
    if not module:
        if name not in BUILT_IN:
            raise ConfigError(
                f"penalty {name!r} does not exist; choose {', '.join(BUILT_IN)}, or name your own as "
                "'module:function'"
            )
        return BUILT_IN[name]
    try:
        function: object = getattr(importlib.import_module(module), attribute, None)
    except (ImportError, SyntaxError, NameError) as error:
        raise ConfigError(
            f"penalty {name!r}: module {module!r} cannot be imported ({error}); install it or put its "
            "folder on PYTHONPATH"
        ) from error
    if not callable(function):
        raise ConfigError(f"penalty {name!r}: module {module!r} has no function {attribute!r}")
    return cast(Function, function)


def _refuse_options(config: PenaltyConfig, function: Function) -> None:
    signature = inspect.signature(function)
    try:
        signature.bind(None, **config.options)
    except TypeError as error:
        raise ConfigError(
            f"penalty {config.function!r} takes (view, **options) as {signature}; options "
            f"{dict(config.options)} do not fit ({error})"
        ) from error


def _variable(known: Annotations, name: str) -> Float[Tensor, "batch number"]:
    if name not in ("target", "condition", "place"):
        raise ConfigError(f"variable {name!r} is unknown; choose 'target', 'condition' or 'place'")
    value: Tensor | None = getattr(known, name)
    if value is None:
        raise InputError(f"a penalty needs the {name} of every site; the data have none")
    return value


def _column(
    values: Float[Tensor, "batch number"], column: int, name: str
) -> Float[Tensor, " batch"]:
    if not 0 <= column < values.shape[-1]:
        raise ConfigError(
            f"a penalty uses number {column} of the {name}, which has {values.shape[-1]}; count from 0"
        )
    return values[:, column]


def _standardised(
    values: Float[Tensor, " batch"], counted: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Values minus their mean, divided by their sd; both over the values that count."""
    n_counted = counted.sum().clamp(min=1)
    centred = values - (counted * values).sum() / n_counted
    variance = (counted * centred**2).sum() / n_counted
    return centred * (variance + TINY).rsqrt()


def _squares(values: Float[Tensor, "batch number"]) -> Float[Tensor, "batch batch number"]:
    """Squared difference of every pair, by number."""
    return (values.unsqueeze(0) - values.unsqueeze(1)) ** 2
