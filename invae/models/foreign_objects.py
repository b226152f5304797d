"""Foreign objects: pixels that show something beside the object of a patch. They do not count, and encoders see them filled.

A likelihood that is robust by itself fails here: the pattern turns until it explains the second object. So the pixels are found
before any model, by comparison of a patch with all others: in the outer part of a patch those that differ by many robust standard
deviations from the values at their radius in all patches. What is joined to the centre is the object itself, up to the radius that
objects have: beyond it a second object touches the first, and the pixels between go to the nearer one.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.compilation import uncompiled
from invae.models.geometry.pose import pixel_grid

N_RINGS = 12
"""Rings from the centre to the corner of a patch."""
SMOOTHING = 0.7
"""Sd of the smoothing before pixels are compared [pixel]."""
DIFFERS = 4.0
"""Robust standard deviations by which a foreign pixel differs from the median of its ring."""
LEAST_SPREAD = 0.15
"""Least standard deviation of a ring, in units of the channel's: rings without an object are nearly constant."""
CLIPPINGS = 4
"""Times that level and spread are taken, each time without the pixels found to be foreign before."""
OUTER, CENTRE = 0.55, 0.35
"""Radius from which pixels can be foreign, and radius of the centre [half the longer side]."""
SURROUNDINGS = 0.25
"""Share of the pixels, those farthest from the centre, that show the surroundings of an object."""
STANDS_OUT = 0.8
"""Difference from the level around it from which a pixel belongs to an object, in units of the channel's sd."""
FENCE = 2.0
"""Interquartile ranges above the upper quartile of the radii of objects, from which a radius is too large.

Source: Tukey 1977, Exploratory Data Analysis, section 2D, where it is 1.5: a few per cent of sheared cards were beyond that.
"""
LONGER = 1.25
"""Ratio to the upper quartile up to which a radius is never too large, where nearly all objects are of one size."""
TIP = 0.01
"""Share of the pixels of a patch up to which pixels of an object beyond this radius are its own: tips had 5 pixels of 784 at most, second
objects 10 at least."""
FEWEST = 20
"""Fewest patches without foreign objects from which the radii are taken again."""
EVERY_RADIUS = 2.0
"""A radius [half the longer side] that no pixel has."""


class ForeignObjects(nn.Module):
    """Values of all patches by radius, the radii of their objects, and the pixels of a patch that do not fit."""

    level: Tensor
    spread: Tensor
    reach: Tensor
    around: Tensor
    ring: Tensor
    radius: Tensor
    surroundings: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        radius = pixel_grid(geometry).norm(dim=-1).unflatten(0, (geometry.height, -1))
        ring = (radius / math.sqrt(2) * N_RINGS).long().clamp(max=N_RINGS - 1)
        # Not in the state dict: both follow from the geometry.
        self.register_buffer("radius", radius, persistent=False)
        self.register_buffer("ring", ring, persistent=False)
        surroundings = radius >= radius.flatten().quantile(1 - SURROUNDINGS)
        self.register_buffer("surroundings", surroundings, persistent=False)
        self.register_buffer("level", torch.zeros(geometry.n_channels, N_RINGS))
        self.register_buffer("spread", torch.ones(geometry.n_channels, N_RINGS))
        self.register_buffer("around", torch.zeros(geometry.n_channels))
        self.register_buffer("reach", torch.tensor(EVERY_RADIUS))

    @property
    def usual(self) -> Float[Tensor, "channel y x"]:
        """The level at every pixel: what foreign pixels are filled with."""
        return self.level[:, self.ring]

    @torch.no_grad()
    def start(self, patches: Patches) -> None:
        """Take radii of objects, and level and spread of every ring, from standardised patches."""
        smooth, counts = smoothed(patches.values), patches.weight > 0
        rim = smooth[..., self.surroundings].transpose(0, 1).flatten(1)
        self.around.copy_(rim.median(-1).values)
        radii = self._radii(smooth)
        self.reach.copy_(self._fence(radii))
        for _ in range(CLIPPINGS):
            self._take_rings(smooth, counts)
            counts = (patches.weight > 0) & ~self(patches)
        # Objects that touch a second one are longer, so their radii must not count.
        alone = counts.flatten(1).sum(1) == (patches.weight > 0).flatten(1).sum(1)
        if alone.sum() >= FEWEST:
            self.reach.copy_(self._fence(radii[alone]))

    def _radii(self, smooth: Tensor) -> Float[Tensor, " batch"]:
        """Largest radius of the pixels that are joined to the centre."""
        stands = self._stands_out(smooth)
        return (joined(self._centre(stands), within=stands) * self.radius).amax((1, 2, 3))

    def _fence(self, radii: Float[Tensor, " batch"]) -> Tensor:
        """The radius above which a radius is an outlier."""
        low, high = radii.quantile(radii.new_tensor((0.25, 0.75)))
        return torch.maximum(high + FENCE * (high - low), LONGER * high).clamp(min=OUTER)

    def _take_rings(self, values: Tensor, counts: Tensor) -> None:
        """Median and robust sd of the pixels that count, by channel and ring."""
        for ring in range(N_RINGS):
            place = self.ring == ring
            for channel in range(values.shape[1]):
                own = values[:, channel, place][counts[:, channel, place]]
                if own.numel():
                    level = own.median()
                    spread = 1.4826 * (own - level).abs().median()
                    self.level[channel, ring] = level
                    self.spread[channel, ring] = spread.clamp(min=LEAST_SPREAD)

    @torch.no_grad()
    def forward(self, patches: Patches) -> Bool[Tensor, "batch channel y x"]:
        """The foreign pixels of standardised patches; the same in all channels."""
        smooth = smoothed(patches.values)
        stands = self._stands_out(smooth)
        unusual = ((smooth - self.usual) / self.spread[:, self.ring]).abs() > DIFFERS
        differs = unusual.any(1, keepdim=True) & (self.radius > OUTER)
        centre = self._centre(stands)
        own = joined(centre, within=stands)
        beyond = differs & own & (self.radius > self.reach)
        touches = beyond.float().mean((1, 2, 3), keepdim=True) > TIP
        begins = differs & ~widened(own) | beyond & touches
        foreign = nearer(begins, centre, within=stands | differs)
        return foreign.expand_as(patches.values)

    def _stands_out(self, values: Tensor) -> Bool[Tensor, "batch 1 y x"]:
        """The pixels that differ from the surroundings of the object of a patch, in any channel.

        The object may cover most of a patch, and foreign ones most of its rim: the median that is more like that of all patches
        is the level around the object.
        """
        whole, rim = (
            values.flatten(2).median(-1).values,
            values[..., self.surroundings].median(-1).values,
        )
        offsets = torch.stack((whole - self.around, rim - self.around))
        offset = offsets.gather(0, offsets.abs().argmin(0, keepdim=True))[0]
        level = self.around + offset.clamp(-STANDS_OUT / 2, STANDS_OUT / 2)
        return ((values - level[..., None, None]).abs() > STANDS_OUT).any(1, keepdim=True)

    def _centre(self, stands: Bool[Tensor, "batch 1 y x"]) -> Bool[Tensor, "batch 1 y x"]:
        return stands & (self.radius < CENTRE)


def smoothed(values: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
    """Values smoothed over neighbouring pixels; those at the edge are continued."""
    offset = torch.arange(-2, 3, dtype=values.dtype, device=values.device)
    weight = torch.softmax(-0.5 * (offset / SMOOTHING) ** 2, dim=0)
    height, width = values.shape[2:]
    # Sums of moved images: a convolution would lose digits in the low precision of networks on a GPU.
    rows = functional.pad(values, (0, 0, 2, 2), mode="replicate")
    smooth = torch.stack([w * rows[..., k : k + height, :] for k, w in enumerate(weight)]).sum(0)
    columns = functional.pad(smooth, (2, 2, 0, 0), mode="replicate")
    return torch.stack([w * columns[..., k : k + width] for k, w in enumerate(weight)]).sum(0)


def widened(region: Bool[Tensor, "batch 1 y x"]) -> Bool[Tensor, "batch 1 y x"]:
    """A region with the four neighbours of every pixel."""
    wide = region.clone()
    wide[..., 1:, :] |= region[..., :-1, :]
    wide[..., :-1, :] |= region[..., 1:, :]
    wide[..., 1:] |= region[..., :-1]
    wide[..., :-1] |= region[..., 1:]
    return wide


def joined(
    start: Bool[Tensor, "batch 1 y x"], *, within: Bool[Tensor, "batch 1 y x"]
) -> Bool[Tensor, "batch 1 y x"]:
    """The pixels of a region that are joined to some of its pixels, over at most as many steps as a patch is long."""
    return nearer(start, torch.zeros_like(start), within=within)


@uncompiled
def nearer(
    start: Bool[Tensor, "batch 1 y x"],
    other: Bool[Tensor, "batch 1 y x"],
    *,
    within: Bool[Tensor, "batch 1 y x"],
) -> Bool[Tensor, "batch 1 y x"]:
    """The pixels of a region that are joined to `start` over fewer steps than to `other`."""
    found, lost = start & within & ~other, other & within
    for _ in range(max(within.shape[-2:])):
        lost = widened(lost) & within & ~found
        found = widened(found) & within & ~lost
    return found
