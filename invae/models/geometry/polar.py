"""The polar grid: a turn is a circular shift, and all turns together are one Fourier transform."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.compilation import uncompiled
from invae.models.geometry.circle import TURN


@dataclass(frozen=True)
class PolarView:
    """Patches on the polar grid; zero where no pixel is valid."""

    values: Float[Tensor, "batch channel radius angle"]
    fraction: Float[Tensor, "batch channel radius angle"] | None
    """Share of every sample that is valid and inside the frame; None if all samples are."""
    beside: Float[Tensor, "batch channel radius angle"] | None = None
    """Other images on the same grid; zero outside the frame."""


class PolarGrid(nn.Module):
    """Rings one pixel apart and equally spaced directions, with the area of every sample [pixel²].

    Ring i lies at radius (i + ½)·step, so that the areas r·dr·dθ of a disc sum to π·radius² exactly. Directions start at +x and
    go as np.rot90. With a number of directions that is a multiple of four a quarter turn maps samples onto samples.
    """

    coords: Tensor
    area: Tensor

    def __init__(self, geometry: Geometry, *, n_angles: int, circumscribed: bool = False) -> None:
        """Lay the grid out.

        Args:
            geometry: The patches' shape.
            n_angles: Number of directions.
            circumscribed: Use the circumscribed disc of the patch instead of the inscribed one.
        """
        super().__init__()
        height, width = geometry.height, geometry.width
        radius = (math.hypot(height, width) if circumscribed else min(height, width)) / 2
        self.n_radii, self.n_angles = math.ceil(radius), n_angles
        self.step = radius / self.n_radii
        self.half_side, self.size = geometry.half_side, (height, width)
        self.covered = not circumscribed  # without a shift the whole disc lies in the frame
        ring = (torch.arange(self.n_radii, dtype=torch.float64) + 0.5) * self.step
        angle = torch.arange(n_angles, dtype=torch.float64) * (TURN / n_angles)
        direction = torch.stack((-angle.sin(), angle.cos()), dim=-1)
        coords = ring[:, None, None] * direction / self.half_side
        area = (ring * self.step * TURN / n_angles).unsqueeze(-1)
        # Not in the state dict: both follow from the configuration.
        self.register_buffer("coords", coords.float(), persistent=False)
        self.register_buffer("area", area.float(), persistent=False)

    def sample(
        self,
        images: Float[Tensor, "batch channel y x"],
        centre: Float[Tensor, "batch 2"] | None = None,
    ) -> Float[Tensor, "batch channel radius angle"]:
        """Images on the grid, bilinear, edge pixels continued outwards.

        Args:
            images: Images on the pixels.
            centre: Centre of the grid, (y, x) in units of half the longer side; the patch centre when empty.
        """
        half = [max(n - 1, 1) / 2 / self.half_side for n in self.size]
        if (
            centre is None
        ):  # one grid for all: the batch becomes channels, which is three times as fast
            place = torch.stack((self.coords[..., 1] / half[1], self.coords[..., 0] / half[0]), -1)
            flat = images.reshape(1, -1, *images.shape[-2:])
            sampled = bilinear(flat, place.unsqueeze(0))
            return sampled.reshape(*images.shape[:2], *sampled.shape[-2:])
        points = self.coords + centre[:, None, None, :]
        return bilinear(
            images, torch.stack((points[..., 1] / half[1], points[..., 0] / half[0]), -1)
        )

    def inside(self, centre: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1 radius angle"]:
        """Share of every sample that lies inside the frame, with an edge one pixel wide."""
        points = (self.coords + centre[:, None, None, :]) * self.half_side
        y, x = ((0.5 + n / 2 - points[..., k].abs()).clamp(0, 1) for k, n in enumerate(self.size))
        return (y * x).unsqueeze(1)

    def observe(
        self,
        patches: Patches,
        centre: Float[Tensor, "batch 2"] | None = None,
        *,
        beside: Float[Tensor, "batch channel y x"] | None = None,
    ) -> PolarView:
        """Patches on the grid about a centre; masked pixels and samples outside the frame are zero.

        Args:
            patches: The patches.
            centre: See `sample`.
            beside: Other images to sample together with them; this costs little more than the patches alone.
        """
        layers = [patches.values]
        layers += [] if patches.valid is None else [patches.weight]
        layers += [] if beside is None else [beside]
        sampled = self.sample(torch.cat(layers, dim=1) if layers[1:] else layers[0], centre)
        values, *others = sampled.split(patches.values.shape[1], dim=1)
        fraction = None if patches.valid is None else others.pop(0)
        if not (centre is None and self.covered):
            inside = self.inside(values.new_zeros(1, 2) if centre is None else centre)
            values, others = values * inside, [other * inside for other in others]
            fraction = inside.expand_as(values) if fraction is None else fraction * inside
        return PolarView(values, fraction, *others)

    def integrate(
        self,
        images: Float[Tensor, "batch channel y x"],
        centre: Float[Tensor, "batch 2"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Sum of images over the part of the disc that lies in the frame, and over channels [unit · pixel²]."""
        weighted = self.sample(images, centre) * self.area
        if not (centre is None and self.covered):
            weighted = weighted * self.inside(images.new_zeros(1, 2) if centre is None else centre)
        return weighted.sum((1, 2, 3))

    def interpolate(
        self,
        field: Float[Tensor, "batch channel radius angle"],
        coords: Float[Tensor, "batch point 2"],
    ) -> Float[Tensor, "batch channel point"]:
        """A field on the grid at any coordinates, linear in radius and angle; the outermost ring is continued."""
        y, x = coords.unbind(-1)
        rings = torch.hypot(y, x) * (self.half_side / self.step)
        # A ring of mean values at the centre, where no direction exists; the others follow at ½, 1½, …
        row = torch.minimum(2 * rings, rings + 0.5).clamp(max=self.n_radii)
        column = torch.remainder(torch.atan2(-y, x), TURN) * (self.n_angles / TURN)
        middle = field[:, :, :1].mean(3, keepdim=True)
        whole = torch.cat((middle.expand(-1, -1, 1, self.n_angles), field), dim=2)
        whole = torch.cat((whole, whole[..., :1]), dim=3)
        place = torch.stack((2 * column / self.n_angles - 1, 2 * row / self.n_radii - 1), dim=-1)
        return bilinear(whole, place.unsqueeze(1)).squeeze(2)

    def support(self, coords: Float[Tensor, "batch point 2"]) -> Float[Tensor, "batch point"]:
        """Share of a pixel at each coordinate that the disc covers, with an edge one pixel wide."""
        radius = coords.norm(dim=-1) * self.half_side
        return (0.5 + self.n_radii * self.step - radius).clamp(0, 1)


@uncompiled
def correlate(
    pattern: Float[Tensor, "patch channel radius angle"],
    field: Float[Tensor, "batch channel radius angle"],
    *,
    n_turns: int,
) -> Float[Tensor, "batch turn"]:
    """Sum over the grid of pattern × field turned by φ, for `n_turns` equally spaced φ from 0.

    Every pattern may have several fields, in a row. This is one circular correlation by FFT; more turns than directions are interpolated
    by the Fourier series, which is exact.
    """
    n_angles = pattern.shape[-1]
    fields = torch.fft.rfft(field).conj().unflatten(0, (len(pattern), -1))
    spectrum = (torch.fft.rfft(pattern).unsqueeze(1) * fields).sum((2, 3)).flatten(0, 1)
    if n_turns > n_angles:  # the highest frequency now occurs twice, at ±n_angles / 2
        spectrum = torch.cat((spectrum[..., :-1], 0.5 * spectrum[..., -1:]), dim=-1)
    return torch.fft.irfft(spectrum, n=n_turns) * (n_turns / n_angles)


@uncompiled
def rolled(
    scores: Float[Tensor, "batch turn"], angle: Float[Tensor, " batch"]
) -> Float[Tensor, "batch turn"]:
    """Functions of the angle, each shifted by its own angle [rad], interpolated by the Fourier series."""
    spectrum = torch.fft.rfft(scores)
    frequency = torch.arange(spectrum.shape[-1], dtype=angle.dtype, device=angle.device)
    phase = -frequency * angle.unsqueeze(-1)
    return torch.fft.irfft(
        spectrum * torch.polar(torch.ones_like(phase), phase), n=scores.shape[-1]
    )


@uncompiled
def from_harmonics(
    cosine: Float[Tensor, "*batch frequency"],
    sine: Float[Tensor, "*batch frequency"],
    *,
    n_angles: int,
) -> Float[Tensor, "*batch {n_angles}"]:
    """A real function of the angle from its harmonics, in the normalisation of an inverse Fourier transform."""
    return torch.fft.irfft(torch.complex(cosine, sine), n=n_angles)


def bilinear(
    images: Float[Tensor, "batch channel y x"], place: Float[Tensor, "batch row column 2"]
) -> Float[Tensor, "batch channel row column"]:
    """Images at positions (x, y) from −1 to 1, the centres of the edge pixels; edge pixels are continued."""
    # PyTorch's kernel crashes the process on positions that are not finite (2.13, CPU, backward). The loss detects a training
    # that diverges.
    place = place.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return functional.grid_sample(
        images, place, mode="bilinear", padding_mode="border", align_corners=True
    )
