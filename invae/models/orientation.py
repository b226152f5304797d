"""The gauge: the zero of the angle of decoded patterns.

The likelihood does not determine this zero: a model may decode a pattern turned by any angle if it infers all angles turned back by
the same amount. Only differences of angles between similar patterns have a meaning, and not even these if the zero jumps somewhere
in the content. A gauge fixes the zero after the training. Reconstructions do not change: a turned field with the angle turned back
gives the same picture.

`Landmarks`: each landmark's pattern is linked to the most similar one and turned to agree with it. Every other pattern is turned
onto the pattern of its nearest landmark. `Dipole`: a pattern is upright if its brighter side lies at +x, so the angle is the
direction of the brighter side, as for a centre of mass.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from invae.models.fields import Code, Field
from invae.models.geometry.circle import TURN
from invae.models.geometry.polar import PolarGrid, correlate
from invae.models.latents import Latents

FINER = 4
"""Turns per direction of the grid in a comparison of two patterns."""
APART = 1e3
"""Distance between landmarks of different classes, in units of the content."""


class Gauge(nn.Module, ABC):
    """The zero of the angle of decoded fields."""

    @abstractmethod
    def forward(
        self,
        latents: Latents,
        field: Float[Tensor, "batch channel radius angle"],
        *,
        painter: Field,
        grid: PolarGrid,
    ) -> Float[Tensor, " batch"] | None:
        """Turn of every decoded field from the upright one [rad]; None before the gauge is fixed."""

    @abstractmethod
    def settle(self, latents: Latents, *, painter: Field, grid: PolarGrid) -> None:
        """Fix the gauge of a trained model from the latents of some patches."""


class Dipole(Gauge):
    """A field is upright if its brighter side lies at +x."""

    settled: Tensor

    def __init__(self) -> None:
        """A gauge without effect until it is fixed; the training does not need it."""
        super().__init__()
        self.register_buffer("settled", torch.zeros(0))
        self.register_load_state_dict_pre_hook(_make_room_for("settled"))

    def forward(
        self,
        latents: Latents,
        field: Float[Tensor, "batch channel radius angle"],
        *,
        painter: Field,
        grid: PolarGrid,
    ) -> Float[Tensor, " batch"] | None:
        """Direction of the first harmonic of every field, with equal weights of all rings [rad].

        Outer rings have more pixels, but in diffraction patterns they have little of the deflection and most of the noise.
        """
        if len(self.settled) == 0:
            return None
        directions = torch.arange(grid.n_angles, device=field.device) * (TURN / grid.n_angles)
        ring = field.sum((1, 2))
        return torch.atan2(ring @ directions.sin(), ring @ directions.cos())

    def settle(self, latents: Latents, *, painter: Field, grid: PolarGrid) -> None:
        """Apply the gauge from now on."""
        self.settled = torch.ones(1).to(self.settled)


class Landmarks(Gauge):
    """Landmarks in the latents of the decoder's code, and the turn of the pattern of each."""

    offset: Tensor

    def __init__(self, code: Code) -> None:
        """A gauge without landmarks, which has no effect."""
        super().__init__()
        sizes = {
            "content": code.latent_dim,
            "class": code.n_states,
            "target": code.n_targets,
            "condition": code.n_conditions,
        }
        self.names = tuple(name for name, size in sizes.items() if size)
        for name in self.names:
            self.register_buffer(f"at_{name}", torch.zeros(0, sizes[name]))
        self.register_buffer("offset", torch.zeros(0))
        self.register_load_state_dict_pre_hook(
            _make_room_for(*(f"at_{name}" for name in self.names), "offset")
        )

    def forward(
        self,
        latents: Latents,
        field: Float[Tensor, "batch channel radius angle"],
        *,
        painter: Field,
        grid: PolarGrid,
    ) -> Float[Tensor, " batch"] | None:
        """Turn of every decoded field from the upright one [rad]; None without landmarks."""
        if len(self.offset) == 0:
            return None
        own, marks = (_place(values) for values in (self._of(latents), self.landmarks))
        nearest = torch.cdist(own, marks).argmin(-1)
        like = {name: values[nearest] for name, values in self.landmarks.items()}
        turn, _ = turned(field, painter({**latents, **like}), grid=grid)
        return turn + self.offset[nearest]

    @property
    def landmarks(self) -> dict[str, Tensor]:
        """Latents of the landmarks."""
        return {name: getattr(self, f"at_{name}") for name in self.names}

    @torch.no_grad()
    def settle(self, latents: Latents, *, painter: Field, grid: PolarGrid) -> None:
        """Take the latents as landmarks, and align their patterns along the minimum spanning tree of their dissimilarity."""
        marks = self._of(latents)
        field = painter(latents)
        turn, likeness = (
            torch.stack(values)
            for values in zip(
                *(turned(field, one.expand_as(field), grid=grid) for one in field.split(1)),
                strict=True,
            )
        )
        apart = 1 - likeness.cpu().double().numpy()
        if "class" in marks:
            state = marks["class"].argmax(-1).cpu().numpy()
            apart = apart + 2.0 * (state[:, None] != state)
        offset = _along_tree(apart, turn.cpu().double().numpy())
        for name, values in marks.items():
            setattr(self, f"at_{name}", values.clone())
        self.offset = torch.from_numpy(offset).to(field)

    def _of(self, latents: Latents) -> dict[str, Tensor]:
        return {name: latents[name] for name in self.names}


def _make_room_for(*names: str) -> Callable[..., None]:
    """A hook before weights are loaded: buffers of the module get the length of the stored ones."""

    def make_room(module: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
        for name in names:
            stored = state_dict.get(prefix + name)
            if stored is not None:
                own = getattr(module, name)
                setattr(module, name, own.new_zeros(len(stored), *own.shape[1:]))

    return make_room


def turned(
    field: Float[Tensor, "batch channel radius angle"],
    other: Float[Tensor, "batch channel radius angle"],
    *,
    grid: PolarGrid,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Angle of fields relative to others at the best match [rad], and their correlation there, at most 1.

    The mean of every ring is subtracted: it matches at any angle.
    """
    first, second = (f - f.mean(-1, keepdim=True) for f in (field, other))
    score = correlate(grid.area * first, second, n_turns=FINER * grid.n_angles)
    best = score.argmax(-1, keepdim=True)
    left, top, right = (
        score.gather(-1, (best + step) % score.shape[-1]).squeeze(-1) for step in (-1, 0, 1)
    )
    bend = (2 * top - left - right).clamp(min=1e-12)
    angle = (best.squeeze(-1) + (0.5 * (right - left) / bend).clamp(-0.5, 0.5)) * (
        TURN / score.shape[-1]
    )
    size = [(grid.area * f**2).sum((1, 2, 3)) for f in (first, second)]
    return angle, top / (size[0] * size[1]).sqrt().clamp(min=1e-12)


def _along_tree(
    apart: Float[np.ndarray, "mark mark"], turn: Float[np.ndarray, "mark mark"]
) -> Float[np.ndarray, " mark"]:
    """Turn of every landmark from the first of its tree; `turn[i, j]` is the turn of j from i."""
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    tree = minimum_spanning_tree(np.maximum(apart, 1e-9))
    order, before = breadth_first_order(tree, 0, directed=False)
    offset = np.zeros(len(apart))
    for mark in order[1:]:
        offset[mark] = offset[before[mark]] + turn[before[mark], mark]
    return np.remainder(offset + math.pi, TURN) - math.pi


def _place(latents: Mapping[str, Tensor]) -> Float[Tensor, "batch number"]:
    """Latents as points; different classes are far apart."""
    parts = [APART * v if name == "class" else v for name, v in latents.items()]
    return torch.cat(parts, dim=-1)
