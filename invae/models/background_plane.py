"""A plane of random slope on every patch, as part of the noise: illumination, thickness or tilt that says nothing about the object.

The slopes along both axes are Normal with one sd per channel, which is learned. Integrated over them, the residual r of a patch has the
covariance σ² + τ² (c cᵀ + s sᵀ), with the ramps c and s. The log density of independent pixels gains, per channel,

    τ² |p|² / (2 σ² (σ² + τ² n)) − log(1 + τ² n / σ²),    p = Σ r (c + i s),    n = Σ c² = Σ s².

Without gradients in the data τ goes to 0, and nothing changes. Source: marginal likelihood of a linear model with a Normal prior.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from invae.models.geometry.circle import circle_grid
from invae.models.geometry.polar import PolarGrid, correlate


def gain(square: Tensor, n: Tensor, *, log_sd: Tensor, log_slope: Tensor, n_ramps: int) -> Tensor:
    """What the plane adds to the log density of a channel [nats].

    Args:
        square: |p|², over one or both ramps.
        n: Sum of the squares of one ramp.
        log_sd: Log of the sd of the noise σ.
        log_slope: Log of the sd of the slope τ.
        n_ramps: Number of ramps in `square`.
    """
    ratio = n * (2 * (log_slope - log_sd)).exp()
    explained = square / n * ratio / (1 + ratio) * (-2 * log_sd).exp()
    return 0.5 * (explained - n_ramps * torch.log1p(ratio))


def on_pixels(
    residual: Float[Tensor, "batch channel y x"],
    weight: Float[Tensor, "batch channel y x"],
    *,
    log_sd: Float[Tensor, "channel 1 1"],
    log_slope: Float[Tensor, "channel 1 1"],
) -> Float[Tensor, " batch"]:
    """What planes over the frame add to the log density of patches [nats]."""
    total: Tensor = residual.new_zeros(len(residual))
    for axis in (2, 3):
        shape = [1, 1, 1, 1]
        shape[axis] = residual.shape[axis]
        ramp = torch.linspace(-1, 1, residual.shape[axis]).to(residual).view(shape)
        n = (weight * ramp**2).sum((2, 3)).clamp(min=1e-6)
        square = (weight * residual * ramp).sum((2, 3)) ** 2
        scales = {"log_sd": log_sd[:, 0, 0], "log_slope": log_slope[:, 0, 0]}
        total = total + gain(square, n, **scales, n_ramps=1).sum(1)
    return total


def on_disc(
    grid: PolarGrid,
    values: Float[Tensor, "patch channel radius angle"],
    field: Float[Tensor, "batch channel radius angle"],
    fraction: Float[Tensor, "patch channel radius angle"] | None,
    *,
    n_turns: int,
    log_sd: Float[Tensor, "channel 1 1"],
    log_slope: Float[Tensor, "channel 1 1"],
) -> Float[Tensor, "batch turn"]:
    """What planes over the disc add to the log-likelihood at equally spaced angles from 0 [nats].

    A rotation of the field by φ multiplies its moment Σ f (c + i s) by e^{iφ}: all angles need two numbers per channel.

    Args:
        grid: The polar grid.
        values: Patches on it, 0 where nothing is known.
        field: Decoded fields.
        fraction: Share of every sample that is valid and inside the frame; all of them when empty. What the field shows elsewhere must not
            count: nothing there holds it back.
        n_turns: Number of angles.
        log_sd: Log of the sd of the noise.
        log_slope: Log of the sd of the slope at the rim of the disc.
    """
    cosine, sine = _ramps(grid)
    n = (grid.area * cosine**2).sum()
    seen = torch.stack([(grid.area * ramp * values).sum((2, 3)) for ramp in (cosine, sine)])
    times = len(field) // len(values)
    seen = seen.repeat_interleave(times, dim=1).unsqueeze(-1)
    if fraction is None:
        expected = _turned(grid, field, (cosine, sine), n_turns=n_turns)
    else:
        known = grid.area * fraction
        expected = torch.stack(
            [_correlated(known * ramp, field, n_turns=n_turns) for ramp in (cosine, sine)]
        )
    square = ((seen - expected) ** 2).sum(0)
    gained = gain(square, n, log_sd=log_sd[:, 0], log_slope=log_slope[:, 0], n_ramps=2)
    return gained.sum(1)


def _ramps(grid: PolarGrid) -> tuple[Tensor, Tensor]:
    """Ramps (radius, angle) along x and −y, 1 at the rim of the disc."""
    radius = grid.coords.norm(dim=-1)
    unit = grid.coords / radius[:, -1:].amax()
    return unit[..., 1], -unit[..., 0]


def _turned(
    grid: PolarGrid, field: Tensor, ramps: tuple[Tensor, Tensor], *, n_turns: int
) -> Float[Tensor, "ramp batch channel turn"]:
    """Moments of the field turned by every angle."""
    along, across = ((grid.area * ramp * field).sum((2, 3)).unsqueeze(-1) for ramp in ramps)
    angle = circle_grid(n_turns, like=field)
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack((along * cosine - across * sine, across * cosine + along * sine))


def _correlated(
    weight: Float[Tensor, "patch channel radius angle"], field: Tensor, *, n_turns: int
) -> Float[Tensor, "batch channel turn"]:
    """Σ weight × field turned by every angle, for every channel."""
    channels = range(field.shape[1])
    return torch.stack(
        [
            correlate(weight[:, [channel]], field[:, [channel]], n_turns=n_turns)
            for channel in channels
        ],
        dim=1,
    )
