"""The polar grid: a turn is a circular shift, and all turns together are one Fourier transform."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.compilation import uncompiled
from invae.models.geometry.circle import TURN
from invae.models.precision import full_precision


@dataclass(frozen=True)
class PolarView:
    """Patches on the polar grid; zero where no pixel is valid."""

    values: Float[Tensor, "batch channel radius angle"]
    fraction: Float[Tensor, "batch channel radius angle"] | None
    """Share of every sample that is valid and inside the frame; None if all samples are."""
    squares: Float[Tensor, "batch channel radius angle"] | None = None
    """Squares of the patches on the same grid; empty unless asked for."""


class PolarGrid(nn.Module):
    """Rings one pixel apart and equally spaced directions, with the area of every sample [pixel²].

    Ring i lies at radius (i + ½)·step, so that the areas r·dr·dθ of a disc sum to π·radius² exactly. Directions start at +x and
    go as np.rot90. With a number of directions that is a multiple of four a quarter turn maps samples onto samples.
    """

    coords: Tensor
    place: Tensor
    """The same as `coords` as positions for `bilinear`."""
    area: Tensor
    pixel_area: Tensor
    """(y, x): weight of every pixel of the patch in a sum over the grid about its centre [pixel²]."""

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
        self.register_buffer("place", self._place(coords).float(), persistent=False)
        self.register_buffer("area", area.float(), persistent=False)
        self.register_buffer("pixel_area", self._pixel_area(), persistent=False)

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
        if centre is None:  # one grid for all: the batch becomes channels, three times as fast
            flat = images.reshape(1, -1, *images.shape[-2:])
            sampled = _bilinear(flat, self.place.unsqueeze(0))
            return sampled.reshape(*images.shape[:2], *sampled.shape[-2:])
        return _bilinear(images, self.place + _finite(self._place(centre))[:, None, None, :])

    def _place(self, coords: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
        """Coordinates as positions for `bilinear`."""
        half = [max(n - 1, 1) / 2 / self.half_side for n in self.size]
        return torch.stack((coords[..., 1] / half[1], coords[..., 0] / half[0]), -1)

    def inside(self, centre: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1 radius angle"]:
        """Share of every sample that lies inside the frame, with an edge one pixel wide."""
        coords, centre = self.coords * self.half_side, centre * self.half_side
        y, x = (
            (0.5 + n / 2 - (coords[..., k] + centre[:, None, None, k]).abs()).clamp(0, 1)
            for k, n in enumerate(self.size)
        )
        return (y * x).unsqueeze(1)

    def observe(
        self,
        patches: Patches,
        centre: Float[Tensor, "batch 2"] | None = None,
        *,
        squares: bool = False,
    ) -> PolarView:
        """Patches on the grid about a centre; masked pixels and samples outside the frame are zero.

        Args:
            patches: The patches.
            centre: See `sample`.
            squares: Whether their squares are sampled too; this costs little more than the patches alone.
        """
        layers = [patches.values]
        layers += [] if patches.valid is None else [patches.weight]
        layers += [patches.values**2] if squares else []
        sampled = self.sample(torch.cat(layers, dim=1) if layers[1:] else layers[0], centre)
        values, *others = sampled.split(patches.values.shape[1], dim=1)
        fraction = None if patches.valid is None else others.pop(0)
        if not (centre is None and self.covered):
            inside = self.inside(values.new_zeros(1, 2) if centre is None else centre)
            values, others = values * inside, [other * inside for other in others]
            fraction = inside.expand_as(values) if fraction is None else fraction * inside
        return PolarView(values, fraction, *others)

    def observe_with_moments(
        self, patches: Patches, centre: Float[Tensor, "batch 2"] | None = None
    ) -> tuple[
        PolarView, Float[Tensor, "batch power channel"], Float[Tensor, "batch power channel"]
    ]:
        """Patches on the grid, and the sums of 1, x and x² over the frame and over the grid [pixel²].

        About the patch centre every pixel has a constant weight in these sums; only a moving grid must sample the squares.
        """
        whole = torch.ones_like(self.pixel_area)
        if centre is None:
            frame, disc = patches.moments(torch.stack((whole, self.pixel_area)))
            return self.observe(patches), frame, disc
        (frame,) = patches.moments(whole.unsqueeze(0))
        view = self.observe(patches, centre, squares=True)
        assert view.fraction is not None
        assert view.squares is not None
        rings = [power.sum(-1) for power in (view.fraction, view.values, view.squares)]
        return view, frame, (torch.stack(rings, dim=1) * self.area.squeeze(-1)).sum(-1)

    def _pixel_area(self) -> Float[Tensor, "y x"]:
        """The gradient of a sum over the grid: sampling is linear in the pixels."""
        with torch.enable_grad():
            image = self.area.new_zeros(1, 1, *self.size).requires_grad_()
            (weight,) = torch.autograd.grad(self.integrate(image).sum(), image)
        return weight[0, 0]

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
    n_frequencies: int | None = None,
) -> Float[Tensor, "batch turn"]:
    """Sum over the grid of pattern × field turned by φ, for `n_turns` equally spaced φ from 0.

    Every pattern may have several fields, in a row. This is a product of Fourier series along the angle; more turns than directions
    are interpolated by it, which is exact.

    Args:
        pattern: The patches.
        field: The fields.
        n_turns: Number of angles.
        n_frequencies: Number of angular frequencies, from 0, that the fields have at most; all when empty.
    """
    n_angles = field.shape[-1]
    n_frequencies = min(n_frequencies or n_angles, n_angles // 2 + 1)
    forth = fourier(n_angles, n_frequencies, dtype=field.dtype, device=field.device)
    with full_precision(field):
        fields = (field @ forth).unflatten(0, (len(pattern), 1, -1))
        # Of the product of two complex numbers, one conjugate: the real part, and the imaginary part.
        patterns = (pattern @ torch.cat((forth, quarter_turn(forth)), -1)).unflatten(-1, (2, -1))
        product = patterns.movedim(-2, 1).unsqueeze(2) * fields
        spectrum = product.sum((-3, -2)).unflatten(-1, (-1, 2)).sum(-1)
    numbers = spectrum.movedim(1, -1).flatten(0, 1).flatten(1)
    return from_harmonics(numbers, n_points=n_turns, n_angles=n_angles)


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
    numbers: Float[Tensor, "*batch number"], *, n_points: int, n_angles: int | None = None
) -> Float[Tensor, "*batch {n_points}"]:
    """A real function at equally spaced angles from the Fourier coefficients of its values at `n_angles` angles.

    Args:
        numbers: Real and imaginary part of every frequency from 0, in turn.
        n_points: Number of angles of the result.
        n_angles: Number of angles of the coefficients; `n_points` when empty.
    """
    n_angles, n_frequencies = n_angles or n_points, numbers.shape[-1] // 2
    back = inverse_fourier(
        n_angles, n_frequencies, n_points, dtype=numbers.dtype, device=numbers.device
    )
    with full_precision(numbers):
        return numbers @ back


@lru_cache(maxsize=64)
def fourier(
    n_points: int, n_frequencies: int, *, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "point number"]:
    """The matrix of the first Fourier coefficients: cos(kφ) and −sin(kφ) for every frequency k from 0, in turn.

    A row of 64 values has 13 frequencies here. Their product with this matrix takes less time than an FFT, with its complex numbers.
    """
    k = torch.arange(n_frequencies, dtype=torch.float64)
    phase = torch.arange(n_points, dtype=torch.float64).unsqueeze(-1) * k * (TURN / n_points)
    return torch.stack((phase.cos(), -phase.sin()), dim=-1).flatten(1).to(device, dtype)


@lru_cache(maxsize=64)
def inverse_fourier(
    n_angles: int, n_frequencies: int, n_points: int, *, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "number point"]:
    """The matrix from the first Fourier coefficients of `n_angles` values to the function at `n_points` angles."""
    weight = torch.full((n_frequencies, 2), 2 / n_angles, dtype=torch.float64)
    weight[0] = 1 / n_angles
    if (
        2 * (n_frequencies - 1) == n_angles
    ):  # the highest frequency stands for one wave, not for two
        weight[-1] = 1 / n_angles
    forth = fourier(n_points, n_frequencies, dtype=torch.float64, device=torch.device("cpu"))
    return (weight.view(-1, 1) * forth.T).contiguous().to(device, dtype)


def quarter_turn(numbers: Float[Tensor, "*batch number"]) -> Float[Tensor, "*batch number"]:
    """Complex numbers, given by their real and imaginary parts in turn, times −i."""
    real, imaginary = numbers.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((imaginary, -real), dim=-1).flatten(-2)


def bilinear(
    images: Float[Tensor, "batch channel y x"], place: Float[Tensor, "batch row column 2"]
) -> Float[Tensor, "batch channel row column"]:
    """Images at positions (x, y) from −1 to 1, the centres of the edge pixels; edge pixels are continued."""
    return _bilinear(images, _finite(place))


def _finite(place: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
    """Positions for `_bilinear`.

    PyTorch's kernel crashes the process on positions that are not finite (2.13, CPU, backward). The loss detects a training that diverges.
    """
    return place.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _bilinear(
    images: Float[Tensor, "batch channel y x"], place: Float[Tensor, "batch row column 2"]
) -> Float[Tensor, "batch channel row column"]:
    return functional.grid_sample(
        images, place, mode="bilinear", padding_mode="border", align_corners=True
    )
