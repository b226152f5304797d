"""Posed images: decoded once and read under any pose; and patches with their pose removed."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.fields import Code
from invae.models.generators import Evidence, Generator, OnPixels, Picture
from invae.models.geometry.pose import Pose, pixel_grid, pull_back
from invae.models.latents import Latents
from invae.models.likelihoods import Noise
from invae.models.precision import full_precision


@dataclass(frozen=True)
class Affine:
    """A map of the plane: matrix · (y, x) + offset."""

    matrix: Float[Tensor, "batch 2 2"]
    offset: Float[Tensor, "batch 2"]

    @property
    def inverse(self) -> "Affine":
        """The map back."""
        a, b, c, d = self.matrix.flatten(1).unbind(-1)
        back = torch.stack((d, -b, -c, a), dim=-1) / (a * d - b * c).unsqueeze(-1)
        matrix = back.unflatten(-1, (2, 2))
        return Affine(matrix, -(matrix * self.offset.unsqueeze(1)).sum(-1))

    @property
    def area(self) -> Float[Tensor, " batch"]:
        """Factor between areas before and after."""
        a, b, c, d = self.matrix.flatten(1).unbind(-1)
        return a * d - b * c

    @property
    def numbers(self) -> Float[Tensor, "batch 6"]:
        """The matrix row by row, then the offset; values that are not finite as 0."""
        numbers = torch.cat((self.matrix.flatten(1), self.offset), dim=-1)
        # PyTorch's sampling crashes the process on positions that are not finite (see `polar.bilinear`).
        return numbers.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def affine(poses: Mapping[str, Pose], latents: Mapping[str, Tensor]) -> Affine:
    """All poses as one map from points of a patch to points of its upright image."""
    like = next(latents[name] for name in poses)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], device=like.device)
    origin, down, right = pull_back(
        corners.to(like.dtype).expand(len(like), -1, -1), poses, latents
    ).unbind(1)
    return Affine(torch.stack((down - origin, right - origin), dim=-1), origin)


class Frame(nn.Module):
    """The pixels of a patch; images are read there under a map."""

    pixels: Tensor
    basis: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.size, self.half_side = (geometry.height, geometry.width), geometry.half_side
        pixels = pixel_grid(geometry)
        y, x = pixels.unbind(-1)
        one, none = torch.ones_like(y), torch.zeros_like(y)
        fields = [(y, none), (x, none), (none, y), (none, x), (one, none), (none, one)]
        basis = torch.stack([torch.stack(pair, dim=-1).flatten() for pair in fields])
        # Not in the state dict: both follow from the geometry.
        self.register_buffer("pixels", pixels, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def mapped(self, where: Affine) -> Float[Tensor, "batch y x 2"]:
        """The mapped positions of the pixels: a map's six numbers times six fields, in one product."""
        numbers = where.numbers
        with full_precision(numbers):
            return (numbers @ self.basis).unflatten(-1, (*self.size, 2))

    def read(
        self, images: Float[Tensor, "batch channel row column"], where: Affine
    ) -> Float[Tensor, "batch channel y x"]:
        """Images centred on the origin, read at the mapped pixels, bilinear; edge pixels are continued outwards."""
        half = [max(n - 1, 1) / 2 / self.half_side for n in reversed(images.shape[-2:])]
        unit = where.offset.new_tensor(half)
        place = Affine(where.matrix.flip(1) / unit.unsqueeze(-1), where.offset.flip(1) / unit)
        return functional.grid_sample(
            images, self.mapped(place), padding_mode="border", align_corners=True
        )

    def inside(self, where: Affine) -> Float[Tensor, "batch 1 y x"]:
        """Share of every mapped pixel that lies in the frame, with an edge one pixel wide."""
        place = self.mapped(where)
        limit = 0.5 + 0.5 * place.new_tensor(self.size)
        share = (limit - self.half_side * place.abs()).clamp(0, 1)
        return (share[..., 0] * share[..., 1]).unsqueeze(1)

    def undone(self, patches: Patches, pull: Affine) -> Patches:
        """Patches with their pose removed, edges continued outwards; pixels from outside the frame are not valid."""
        push = pull.inverse
        if patches.valid is None:
            return Patches(self.read(patches.values, push), None, patches.known)
        values = self.read(patches.values * patches.weight, push)
        share = self.read(patches.weight, push)
        valid = share > 0.5
        return Patches(values / share.clamp(min=0.5) * valid, valid, patches.known)


@dataclass(frozen=True)
class Placed:
    """Independent pixels about an image that is decoded upright and read under a pose."""

    noise: Noise
    image: Float[Tensor, "batch channel row column"]
    """On the canvas."""
    field: Float[Tensor, "batch channel y x"]

    def evidence(self, patches: Patches) -> Evidence:
        """The masked sum of the pixels' log densities."""
        return OnPixels(self.noise, self.field).evidence(patches)


class PlacedGenerator(Generator):
    """An image decoded once on a canvas, read at the patch's pixels under the poses, and noise about it."""

    def __init__(
        self,
        decoder: nn.Module,
        code: Code,
        noise: Noise,
        *,
        poses: Mapping[str, Pose],
        frame: Frame,
    ) -> None:
        """Decode an image with `decoder(code)` around the middle of the frame, at its pixel size, and read it in the frame."""
        super().__init__()
        self.decoder, self.code, self.noise = decoder, code, noise
        self.poses, self.frame = dict(poses), frame

    def likelihood(self, latents: Latents) -> Placed:
        image = self.decoder(self.code(latents))
        field = self.frame.read(image, affine(self.poses, latents))
        return Placed(self.noise, image, field)

    def pattern(self, latents: Latents) -> Float[Tensor, "batch channel row column"]:
        return self.noise.mean(self.decoder(self.code(latents)))

    def picture(self, latents: Latents) -> Picture:
        mean = self.noise.mean(self.likelihood(latents).field)
        return Picture(mean, torch.ones_like(mean[:, 0]))
