"""Gaussian process over a pool of candidates: a sum of kernels of the content of patches and of their places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from invae.active.belief import Belief, Data
from invae.active.features import Feature
from invae.regression.gaussian_process import distance, matern

RATIOS = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0])
"""Noise variances tried, in units of the signal variance."""
USUAL_RATIO = 0.1
RATIO_WEIGHT = 0.1
"""Log likelihood that a factor e of the noise away from the usual one costs."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the first feature in the signal variance that are tried."""
SWEEPS = 2
LEARNED = 256
"""Most measurements from which the settings are learned."""
N_LEARNED = 3
"""Settings that the measurements decide, roughly; so many degrees of freedom are lost."""
WAVES = 384
"""Random waves of a sample of the prior, per feature."""


@dataclass(frozen=True)
class Settings:
    """Settings of the kernel."""

    shares: tuple[float, ...]
    """Share of every feature in the signal variance."""
    variants: tuple[int, ...]
    lengths: tuple[float, ...]
    linear: tuple[float, ...]

    @classmethod
    def usual(cls, features: Sequence[Feature]) -> "Settings":
        """Where the search for settings begins."""
        n = len(features)
        return cls(
            (1 / n,) * n,
            tuple(len(one.variants) // 2 for one in features),
            tuple(one.lengths[len(one.lengths) // 2] for one in features),
            tuple(one.linear[len(one.linear) // 2] for one in features),
        )


def neighbours(settings: Settings, features: Sequence[Feature]) -> list[list[Settings]]:
    """Settings that differ from these in one number, a list for every number."""
    found = []
    if len(features) > 1:
        found += [_with_share(settings, k) for k in range(len(features))]
    for k, one in enumerate(features):
        if settings.shares[k] == 0:
            continue
        for name, tried in (
            ("variants", range(len(one.variants))),
            ("lengths", one.lengths),
            ("linear", one.linear),
        ):
            values = getattr(settings, name)
            found.append(
                [replace(settings, **{name: (*values[:k], v, *values[k + 1 :])}) for v in tried]
            )
    return found


def _with_share(settings: Settings, k: int) -> list[Settings]:
    """Settings with other shares of one feature; the remaining features keep their proportions."""
    rest = 1 - settings.shares[k]
    others = [s / rest if rest else 1 / (len(settings.shares) - 1) for s in settings.shares]
    return [
        replace(
            settings,
            shares=tuple(
                round(share if j == k else (1 - share) * other, 9) for j, other in enumerate(others)
            ),
        )
        for share in SHARES
    ]


class Kernel:
    """Kernel of candidates: a sum of Matérn-5/2 and linear kernels of their features."""

    def __init__(self, features: Sequence[Feature], settings: Settings) -> None:
        self.settings = settings
        self.parts = [
            (share, one.variants[variant], length, linear)
            for share, one, variant, length, linear in zip(
                settings.shares,
                features,
                settings.variants,
                settings.lengths,
                settings.linear,
                strict=True,
            )
            if share > 0
        ]

    def between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Kernel of all pairs (first, second) of candidates, given by indices."""
        total = np.zeros((len(first), len(second)))
        for share, values, length, linear in self.parts:
            one, other = values[first], values[second]
            part = matern(distance(one, other) / length)
            if linear:
                part = (part + linear * one @ other.T) / (1 + linear)
            total += share * part
        return total

    def itself(self) -> np.ndarray:
        """Kernel of every candidate with itself."""
        return np.asarray(
            sum(
                share * (1 + linear * (values**2).sum(1)) / (1 + linear)
                for share, values, _, linear in self.parts
            )
        )

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """One function of the prior at every candidate, by random waves.

        Source: Rahimi & Recht 2007, Random Features for Large-Scale Kernel Machines; a Matérn-5/2 kernel has Student-t frequencies.
        """
        total = 0.0
        for share, values, length, linear in self.parts:
            n = values.shape[1]
            scale = np.sqrt(5 / rng.chisquare(5, WAVES))
            frequencies = rng.normal(size=(n, WAVES)) * scale / length
            phase = rng.uniform(0, 2 * np.pi, WAVES)
            weights = rng.normal(size=WAVES) * math.sqrt(2 / WAVES)
            part = np.cos(values @ frequencies + phase) @ weights
            slope = rng.normal(size=n)
            if linear:
                part = part + math.sqrt(linear) * values @ slope
            total = total + math.sqrt(share / (1 + linear)) * part
        return np.asarray(total)


@dataclass(frozen=True)
class Learned:
    """Settings of the kernel with the noise that fits them."""

    settings: Settings
    ratio: float
    """Variance of the noise over that of the signal."""
    evidence: float
    """Log marginal likelihood minus that of a constant with noise [nats]."""


def learn(features: Sequence[Feature], data: Data) -> Learned:
    """Settings of highest marginal likelihood, one number after the other."""
    used = np.unique(np.linspace(0, len(data) - 1, min(len(data), LEARNED)).astype(int))
    part = Data(data.sites[used], data.values[used], data.sd[used])
    seen = {}

    def judged(settings: Settings) -> Learned:
        if settings not in seen:
            seen[settings] = _judged(Kernel(features, settings), part)
        return seen[settings]

    best = judged(Settings.usual(features))
    for _ in range(SWEEPS):
        before = best
        for turn in range(len(neighbours(best.settings, features))):
            around = neighbours(best.settings, features)
            if turn < len(around):
                best = max([best, *map(judged, around[turn])], key=lambda one: one.evidence)
        if best is before:
            break
    return best


def _judged(kernel: Kernel, data: Data) -> Learned:
    """The best noise of a kernel, and the evidence."""
    z, relative = standardised(data)
    root = np.sqrt(relative)
    value, vectors = np.linalg.eigh(kernel.between(data.sites, data.sites) / np.outer(root, root))
    turned = (vectors.T @ (z / root)) ** 2
    spread = value.clip(0)[:, None] + RATIOS
    signal = (turned[:, None] / spread).mean(0)
    n = len(z)
    # A weak prior holds the variance of signal and noise near that of the values.
    total = np.log(signal * (1 + RATIOS))
    score = -0.5 * n * np.log(signal) - 0.5 * np.log(spread).sum(0) - 0.5 * total**2
    score = score - RATIO_WEIGHT * np.abs(np.log(RATIOS / USUAL_RATIO))
    constant = -0.5 * n * np.log((z**2 / relative).mean())
    best = int(score.argmax())
    return Learned(kernel.settings, float(RATIOS[best]), float(score[best] - constant))


def standardised(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Values with mean 0 and sd 1, and the variance of their noise relative to its mean."""
    spread = float(data.values.std())
    z = (data.values - data.values.mean()) / (spread if spread > 0 else 1.0)
    known = data.sd > 0
    relative = np.ones(len(z))
    if known.any():
        relative[known] = data.sd[known] ** 2 / (data.sd[known] ** 2).mean()
    return z, relative.clip(0.01, 100)


class PoolProcess:
    """A Gaussian process that has seen some candidates."""

    def __init__(self, features: Sequence[Feature], learned: Learned, data: Data) -> None:
        self.kernel = Kernel(features, learned.settings)
        self.learned, self.data = learned, data
        self.n_sites = len(features[0].variants[0])
        self.centre = float(data.values.mean())
        spread = float(data.values.std())
        self.unit = spread if spread > 0 else 1.0
        self.z, relative = standardised(data)
        own = self.kernel.between(data.sites, data.sites)
        self.noise = learned.ratio * relative
        from scipy.linalg import cho_factor, cho_solve

        self._solve = lambda right: cho_solve(factor, right)
        factor = cho_factor(own + np.diag(self.noise), lower=True)
        self.weights = self._solve(self.z)
        # Settings were learned from the same values: a few measurements would seem too sure.
        freedom = max(len(self.z) - N_LEARNED, 1)
        self.signal = float(self.z @ self.weights) / freedom

    @cached_property
    def cross(self) -> np.ndarray:
        """Kernel (site, measured)."""
        return self.kernel.between(np.arange(self.n_sites), self.data.sites)

    def belief(self) -> Belief:
        """Mean and sd at every candidate."""
        left = self.kernel.itself() - np.einsum("ij,ji->i", self.cross, self._solve(self.cross.T))
        inverse = self._solve(np.eye(len(self.z)))
        diagonal = np.diagonal(inverse)
        scale = self.unit * math.sqrt(self.signal)
        return Belief(
            self.centre + self.unit * self.cross @ self.weights,
            scale * np.sqrt(left.clip(1e-9)),
            scale * math.sqrt(self.learned.ratio),
            self.draw,
            self.data.values,
            self.data.values - self.unit * self.weights / diagonal,
            scale / np.sqrt(diagonal),
        )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One function of the posterior at every candidate: one of the prior, moved to the measurements.

        Source: Wilson et al. 2020, arXiv:2002.09309, eq. 9.
        """
        root = math.sqrt(self.signal)
        prior = root * self.kernel.sample(rng)
        noise = root * np.sqrt(self.noise) * rng.normal(size=len(self.z))
        moved = self.cross @ self._solve(self.z - prior[self.data.sites] - noise)
        return self.centre + self.unit * (prior + moved)
