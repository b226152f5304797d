"""The canvas: a field larger than the frame, for the likelihood of patches at all shifts at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.compilation import uncompiled
from invae.models.fields import Code, Field
from invae.models.generators import Evidence, Generator, Picture
from invae.models.geometry.polar import bilinear
from invae.models.geometry.pose import pixel_grid
from invae.models.latents import Latents, NormalPrior
from invae.models.likelihoods import Noise

REACH = 3.0  # margin, in sds of the prior
WIDEST = 0.5  # largest margin, as a share of the frame


def shift_margin(geometry: Geometry, *, prior_sd: float) -> tuple[int, int]:
    """Pixels by which a pattern may leave the frame, along y and x; none along an axis of one pixel.

    Args:
        geometry: The patches' shape.
        prior_sd: Sd of the prior of the shift [half the longer side].
    """
    reach = math.ceil(round(REACH * prior_sd * geometry.half_side, 6))
    sides = (geometry.height, geometry.width)
    return tuple(0 if n == 1 else max(1, min(reach, int(WIDEST * n))) for n in sides)  # pyright: ignore[reportReturnType]


def cubic(place: Float[Tensor, "*batch point"], size: int) -> Float[Tensor, "*batch point size"]:
    """Weights of `size` pixels at positions between them [pixel]; edge pixels are continued.

    Source: Keys 1981, doi:10.1109/TASSP.1981.1163711, eq. 15 (a = −½).
    """
    pixel = torch.arange(size, dtype=place.dtype, device=place.device)
    far = (place.clamp(0, size - 1).unsqueeze(-1) - pixel).abs()
    near = (1.5 * far - 2.5) * far**2 + 1
    beyond = ((2.5 - 0.5 * far) * far - 4) * far + 2
    weight = torch.where(far < 1, near, torch.where(far < 2, beyond, 0.0))
    return weight / weight.sum(-1, keepdim=True)


class Canvas(nn.Module):
    """The frame with a margin around it, on the frame's pixels."""

    coords: Tensor
    between_y: Tensor
    between_x: Tensor

    def __init__(self, geometry: Geometry, *, margin: Sequence[int], finer: int = 1) -> None:
        """Lay the canvas out.

        Args:
            geometry: The patches' shape.
            margin: Pixels on each side, along y and along x.
            finer: Number of shifts per pixel, along every axis with a margin.
        """
        super().__init__()
        self.frame, self.margin = (geometry.height, geometry.width), tuple(margin)
        self.half_side = geometry.half_side
        self.geometry = Geometry(
            geometry.n_channels, *(n + 2 * m for n, m in zip(self.frame, margin, strict=True))
        )
        self.finer = tuple(finer if m else 1 for m in self.margin)
        points = pixel_grid(self.geometry).unflatten(0, (self.geometry.height, -1))
        coords = points * (self.geometry.half_side / self.half_side)
        # Not in the state dict: all follow from the configuration.
        self.register_buffer("coords", coords, persistent=False)
        for axis, n in (("y", self.geometry.height), ("x", self.geometry.width)):
            steps = self.finer[0 if axis == "y" else 1]
            part = torch.arange(steps).unsqueeze(-1) / steps
            self.register_buffer(
                f"between_{axis}", cubic(torch.arange(n) + part, n), persistent=False
            )

    @property
    def step(self) -> tuple[float, float]:
        """Distance of neighbouring shifts along y and x [half the longer side]."""
        y, x = (1 / (n * self.half_side) for n in self.finer)
        return y, x

    def interpolate(
        self,
        field: Float[Tensor, "batch channel row column"],
        coords: Float[Tensor, "batch point 2"],
    ) -> Float[Tensor, "batch channel point"]:
        """A field on the canvas at any coordinates, bilinear; edge pixels are continued."""
        half = [max(n - 1, 1) / 2 / self.half_side for n in field.shape[-2:]]
        place = torch.stack((coords[..., 1] / half[1], coords[..., 0] / half[0]), dim=-1)
        return bilinear(field, place.unsqueeze(1)).squeeze(2)

    def crop(
        self,
        field: Float[Tensor, "batch channel row column"],
        shift: Float[Tensor, "batch 2"],
    ) -> Float[Tensor, "batch channel y x"]:
        """The part in the frame of a field that is shifted [half the longer side]."""
        rows, columns = (
            cubic(self._pixels(axis, shift) - shift[:, axis, None] * self.half_side, n)
            for axis, n in enumerate(field.shape[-2:])
        )
        return rows.unsqueeze(1) @ field @ columns.unsqueeze(1).mT

    def between(
        self, field: Float[Tensor, "batch channel row column"]
    ) -> Float[Tensor, "batch part_y part_x channel row column"]:
        """A field at its pixels, and at equal fractions of a pixel further down and to the right."""
        if self.finer == (1, 1):
            return field.unsqueeze(1).unsqueeze(1)
        along = torch.einsum("bcrk,qlk->bqcrl", field, self.between_x)
        return torch.einsum("bqcrl,psr->bpqcsl", along, self.between_y)

    def shifts(
        self, correlation: Float[Tensor, "batch part_y part_x row column"]
    ) -> Float[Tensor, "batch shift_y shift_x"]:
        """Correlations, sorted by shift from −margin to +margin.

        The origin of the frame is at margin − shift on the canvas: fractions of a pixel go between the pixels, and the order is
        reversed.
        """
        n_y, n_x = (2 * m * n + 1 for m, n in zip(self.margin, self.finer, strict=True))
        merged = correlation.permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)
        return merged[:, :n_y, :n_x].flip(1, 2)

    def _pixels(self, axis: int, like: Tensor) -> Float[Tensor, " pixel"]:
        pixels = torch.arange(self.frame[axis], dtype=like.dtype, device=like.device)
        return pixels + self.margin[axis]


@uncompiled
def correlate_shifts(
    pattern: Float[Tensor, "#patch channel y x"],
    field: Float[Tensor, "batch part_y part_x channel row column"],
    *,
    n_patches: int,
) -> Float[Tensor, "batch part_y part_x row column"]:
    """Sum over the frame of pattern × field, for every origin of the frame on the canvas, by one FFT.

    Every patch may have several fields, in a row. The field is periodic beyond the canvas.
    """
    size = field.shape[-2:]
    frames = torch.fft.rfft2(pattern, s=size).conj()
    fields = torch.fft.rfft2(field).unflatten(0, (n_patches, -1))
    product = (frames[:, None, None, None] * fields).sum(-3).flatten(0, 1)
    return torch.fft.irfft2(product, s=size)


@dataclass(frozen=True)
class ShiftPosterior:
    """Exact posterior over equally spaced positions on the canvas, as normalised log probabilities.

    Shifts are relative to `home`, the position at which a decoder draws this content.
    """

    log_prob: Float[Tensor, "batch row column"]
    home: Float[Tensor, "batch 2"]
    """Position for every content, from the middle of the canvas [half the longer side]."""
    step: tuple[float, float]
    """Distance of neighbours along y and x [half the longer side]."""

    @classmethod
    def from_scores(
        cls,
        scores: Float[Tensor, "batch row column"],
        prior: NormalPrior,
        *,
        home: Float[Tensor, "batch 2"],
        step: tuple[float, float],
    ) -> "ShiftPosterior":
        """Bayes' rule: log p(x|shift) and the prior on the same grid."""
        log_prior = cls(scores, home, step).log_prior(prior)
        return cls((scores + log_prior).flatten(1).log_softmax(-1).view_as(scores), home, step)

    @property
    def axes(self) -> tuple[Float[Tensor, "batch row"], Float[Tensor, "batch column"]]:
        """The shifts along y and along x [half the longer side]."""
        like = self.log_prob
        y, x = (
            (torch.arange(n, dtype=like.dtype, device=like.device) - (n - 1) / 2) * step
            - self.home[:, axis, None]
            for axis, (n, step) in enumerate(zip(like.shape[1:], self.step, strict=True))
        )
        return y, x

    def log_prior(self, prior: NormalPrior) -> Float[Tensor, "batch row column"]:
        """Log probabilities of a prior on the same grid."""
        y, x = (-0.5 * (shift / prior.sd) ** 2 for shift in self.axes)
        return y.log_softmax(-1).unsqueeze(2) + x.log_softmax(-1).unsqueeze(1)

    def kl(self, prior: NormalPrior) -> Float[Tensor, " batch"]:
        """Kullback-Leibler divergence from the prior on the same grid [nats]."""
        return (self.log_prob.exp() * (self.log_prob - self.log_prior(prior))).sum((1, 2))

    @property
    def mean(self) -> Float[Tensor, "batch 2"]:
        """Expected shift [half the longer side]."""
        return torch.stack([(p * d).sum(-1) for p, d in self._marginals()], dim=-1)

    @property
    def sd(self) -> Float[Tensor, "batch 2"]:
        """Standard deviation along y and x [half the longer side]."""
        parts = [
            (p * (d - (p * d).sum(-1, keepdim=True)) ** 2).sum(-1) for p, d in self._marginals()
        ]
        return torch.stack(parts, dim=-1).sqrt()

    @property
    def shift(self) -> Float[Tensor, "batch 2"]:
        """The most probable shift, refined by a parabola along each axis [half the longer side].

        The mean would lie between the equal peaks of a periodic pattern.
        """
        n_x = self.log_prob.shape[2]
        best = self.log_prob.flatten(1).argmax(-1)
        place = (torch.div(best, n_x, rounding_mode="floor"), best % n_x)
        every = torch.arange(len(best), device=best.device)
        lines = (self.log_prob[every, :, place[1]], self.log_prob[every, place[0]])
        peaks = [
            axis[every, index] + step * _vertex(line, index)
            for axis, step, line, index in zip(self.axes, self.step, lines, place, strict=True)
        ]
        return torch.stack(peaks, dim=-1)

    def _marginals(self) -> list[tuple[Tensor, Tensor]]:
        probability = self.log_prob.exp()
        return list(zip((probability.sum(2), probability.sum(1)), self.axes, strict=True))


def _vertex(line: Float[Tensor, "batch point"], best: Tensor) -> Float[Tensor, " batch"]:
    """Peak of the parabola through a maximum and its neighbours, in steps from the maximum; 0 at an edge."""
    last = line.shape[-1] - 1
    low, top, high = (
        line.gather(-1, (best + k).clamp(0, last).unsqueeze(-1)).squeeze(-1) for k in (-1, 0, 1)
    )
    offset = 0.5 * (high - low) / (2 * top - low - high).clamp(min=1e-12)
    return torch.where((best > 0) & (best < last), offset.clamp(-0.5, 0.5), 0.0)


@dataclass(frozen=True)
class OnCanvas:
    """A field at any shift behind the frame."""

    canvas: Canvas
    noise: Noise
    prior: NormalPrior
    field: Float[Tensor, "batch channel row column"]
    home: Float[Tensor, "batch 2"]
    """Position of the pattern in the field, from the middle of the canvas [half the longer side]."""

    def evidence(self, patches: Patches) -> Evidence:
        """Bayes' rule over all shifts: the expected log-likelihood, and the posterior of `shift`."""
        scores = self.scores(patches)
        posterior = ShiftPosterior.from_scores(
            scores, self.prior, home=self.home, step=self.canvas.step
        )
        expected = (posterior.log_prob.exp() * scores).sum((1, 2))
        return Evidence(expected, {"shift": posterior})

    def scores(self, patches: Patches) -> Float[Tensor, "batch shift_y shift_x"]:
        """Log-likelihood at equally spaced shifts from −margin to +margin [nats].

        Both Σ x·η and Σ A(η) are correlations of the canvas with the frame: with its pixels, and with its mask.
        """
        weight, natural = patches.weight, self.canvas.between(self.noise.natural(self.field))
        partition = self.noise.log_partition(natural)
        counted = weight
        if patches.valid is None:  # all frames and channels have the same weight
            partition, counted = partition.sum(3, keepdim=True), weight[:, :1]
        pattern = torch.cat((patches.values * weight, -counted), dim=1)
        fields = torch.cat((natural, partition), dim=3)
        correlation = correlate_shifts(pattern, fields, n_patches=len(patches))
        base = (self.noise.log_base(patches.values) * weight).sum((1, 2, 3))
        times = len(self.field) // len(patches)
        return self.canvas.shifts(correlation) + base.repeat_interleave(times)[:, None, None]


class Home(nn.Module):
    """Position on the canvas at which a decoder draws each content.

    The likelihood does not determine it, and the prior on the shift is too weak to move the drawn pattern: decoders drew one suit
    of cards 2 pixels away from another, and the inferred shifts differed by that. With this position separate, the prior centres
    the shifts of every content.
    """

    moves: Tensor

    def __init__(self, code: Code, canvas: Canvas, *, prior_sd: float, hidden: int = 32) -> None:
        super().__init__()
        self.code, self.prior_sd = code, prior_sd
        self.first, self.last = nn.Linear(code.size, hidden), nn.Linear(hidden, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        moves = torch.tensor([float(m > 0) for m in canvas.margin])
        self.register_buffer("moves", moves, persistent=False)

    def forward(self, latents: Latents) -> Float[Tensor, "batch 2"]:
        code = self.code(latents)
        place = self.last(functional.gelu(self.first(code))).to(code.dtype)
        return self.prior_sd * self.moves * place


class CanvasGenerator(Generator):
    """A field on the canvas; its shift behind the frame is inferred exactly."""

    def __init__(
        self, field: Field, noise: Noise, *, home: Home, canvas: Canvas, prior: NormalPrior
    ) -> None:
        super().__init__()
        self.field, self.noise, self.home = field, noise, home
        self.canvas, self.prior = canvas, prior

    def likelihood(self, latents: Latents) -> OnCanvas:
        return OnCanvas(
            self.canvas, self.noise, self.prior, self.field(latents), self.home(latents)
        )

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.noise.mean(self.canvas.crop(self.field(latents), self.home(latents)))

    def picture(self, latents: Latents) -> Picture:
        place = latents["shift"] + self.home(latents)
        mean = self.noise.mean(self.canvas.crop(self.field(latents), place))
        return Picture(mean, torch.ones_like(mean[:, 0]))
