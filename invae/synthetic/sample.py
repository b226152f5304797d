"""A simulated sample: initial domains, pins, lamellae, built-in field and topography.

Positions are pixels of the first frame; the sample is larger than a frame by a margin on each side and periodic beyond.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import KDTree

from invae.config.synthetic import (
    DomainsConfig,
    LamellaFamilyConfig,
    PinConfig,
    SampleConfig,
)
from invae.synthetic import unclean
from invae.synthetic.lamellae import Family, with_tips
from invae.synthetic.landau import PIXEL, Ferroelectric
from invae.synthetic.wall_dynamics import disorder

STREAMS = (
    "start", "pins", "bias", "grains", "drift", "nuclei", "noise", "faults",
    "families", "surface", "lines", "jumps", "thermal",
)  # fmt: skip
"""Independent random streams; append new ones, so that the others keep their values."""
RELAXATION_STEPS = 30
"""Time steps without a field before the first frame."""
DUST = (1.0, 5.0)
"""Smallest and largest sd of a spot of dust [px]."""
SHARPEST = 0.7
"""Sd of the blur of the surface, so that it can be interpolated [px]."""
EDGE_SD = 1.5
"""Sd of the pinning line along the edge of a lamella [px]."""


@dataclass(frozen=True)
class Sample:
    """A sample and the state of its domains."""

    ferroelectric: Ferroelectric
    height: np.ndarray
    """Topography (y, x) [nm]."""
    surface: np.ndarray | None = None
    """Response relative to that of a perfect surface (y, x); none where it is perfect everywhere."""


def stream(seed: int, name: str, frame: int = 0) -> np.random.Generator:
    """The generator of one random stream of one frame; independent of all other streams."""
    return np.random.default_rng([seed, STREAMS.index(name), frame])


def shape(config: DomainsConfig) -> tuple[int, int]:
    """Rows and columns of the periodic sample [px]."""
    return config.rows + 2 * config.margin, config.columns + 2 * config.margin


def make_sample(config: DomainsConfig, seed: int) -> Sample:
    """The sample of a seed before the first frame; its walls have relaxed to their width."""
    size, sample = shape(config), config.sample
    terms = disorder(
        config, pin_depth(config, seed), lambda frame: stream(seed, "thermal", frame + 1)
    )
    ferroelectric = Ferroelectric(
        first_domains(sample, size, stream(seed, "start")),
        wells(config, seed),
        built_in_field(config, seed),
        sample.depolarization,
        terms,
    )
    if terms is not None:
        terms.begin(-1)
    ferroelectric.run(RELAXATION_STEPS, field=lambda _: 0.0)
    height = sample.roughness * _grains(sample.grain_size, size, stream(seed, "grains"))
    return Sample(ferroelectric, height.astype(np.float32), _surface(sample, size, seed))


def wells(config: DomainsConfig, seed: int) -> np.ndarray:
    """Quadratic coefficient of the sample (y, x), 1 in the bulk."""
    size = shape(config)
    well = 1 + (pin_depth(config, seed) if config.sample.pins.kind == "well" else np.zeros(size))
    y, x = np.indices(size, dtype=np.float64) - config.margin
    for family, _, pinning in families(config, seed):
        well = well + pinning * np.exp(-((family.depth(y, x) / EDGE_SD) ** 2) / 2)
    return well


def built_in_field(config: DomainsConfig, seed: int) -> np.ndarray:
    """Built-in field of the sample (y, x)."""
    noise = smooth_noise(shape(config), config.sample.bias_length, stream(seed, "bias"))
    return config.sample.bias_sd * noise


def pin_depth(config: DomainsConfig, seed: int) -> np.ndarray:
    """Change of a coefficient by all pins (y, x)."""
    positions = pin_positions(config, seed) + config.margin
    return _pin_wells(config.sample.pins, positions, shape(config))


def smooth_noise(
    size: tuple[int, int], length: float, generator: np.random.Generator
) -> np.ndarray:
    """A periodic Gaussian random field of mean 0 and sd 1 with a correlation length [px]."""
    field = ndimage.gaussian_filter(generator.standard_normal(size), length / 2, mode="wrap")
    field -= field.mean()
    return field / field.std()


def first_domains(
    sample: SampleConfig, size: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Polarization of the first frame (y, x), with walls of their equilibrium width."""
    if sample.start == "labyrinth":
        level = smooth_noise(size, sample.domain_size, generator)
        distance = level / np.hypot(*np.gradient(level)).mean()
    elif sample.start == "stripes":
        distance = _stripe_distance(sample.domain_size, size, generator)
    else:
        spacing = 4 * sample.domain_size
        count = max(1, round(size[0] * size[1] / spacing**2))
        centres = generator.uniform(0, size, (count, 2))
        distance = np.full(size, -np.inf)
        for centre in centres:
            distance = np.maximum(distance, disc_distance(size, centre, sample.domain_size))
    return np.tanh(distance * PIXEL / math.sqrt(2)).astype(np.float32)


def _stripe_distance(
    width: float, size: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Signed distance from the walls of wavy stripes along y, roughly `width` wide [px]."""
    pairs = max(1, round(size[1] / (2 * width)))
    period = size[1] / pairs
    wave = smooth_noise(size, 2 * width, generator) * width / 8
    angle = 2 * np.pi * (np.arange(size[1]) + wave) / period
    return np.sin(angle) * period / (2 * np.pi)


def disc_distance(size: tuple[int, int], centre: np.ndarray, radius: float) -> np.ndarray:
    """Signed distance from a circle on the periodic sample, positive inside [px]."""
    y, x = ((np.arange(n) - c + n / 2) % n - n / 2 for n, c in zip(size, centre, strict=True))
    return radius - np.hypot(y[:, None], x)


def nucleate(
    ferroelectric: Ferroelectric, *, sign: float, radius: float, centre: np.ndarray
) -> None:
    """Place a disc of one polarity on the sample."""
    p = ferroelectric.polarization
    disc = np.tanh(disc_distance(p.shape, centre, radius) * PIXEL / math.sqrt(2))
    p[...] = np.maximum(p, disc) if sign > 0 else np.minimum(p, -disc)


def pin_positions(config: DomainsConfig, seed: int) -> np.ndarray:
    """Positions of the pins, in pixels of the first frame (pin, axis) [px]."""
    size = shape(config)
    count = round(config.sample.pins.density * size[0] * size[1] / 256**2)
    return stream(seed, "pins").uniform(0, size, (count, 2)) - config.margin


def _pin_wells(pins: PinConfig, positions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Change of the quadratic coefficient by all pins; the deepest counts where they overlap."""
    wells = np.zeros(size)
    for position in positions:
        distance = disc_distance(size, position, 0.0)
        wells = np.minimum(wells, pins.depth * np.exp(-((distance / pins.sd) ** 2) / 2))
    return wells


def families(config: DomainsConfig, seed: int) -> list[tuple[Family, float, float]]:
    """Families of lamellae, in pixels of the first frame, each with its response and the pinning of its edges."""
    main, others = config.sample.lamellae, config.sample.families
    settings = (*((main,) if main.enabled else ()), *others)
    generator = stream(seed, "families")
    drawn = []
    for one in settings:
        family = Family(np.deg2rad(one.angle), one.period, one.width)
        if isinstance(one, LamellaFamilyConfig):
            family = Family(
                family.angle, one.period, one.width, generator.uniform(0, one.period), one.needle
            )
            family = with_tips(family, extent=float(np.hypot(*shape(config))), generator=generator)
        drawn.append((family, one.response, one.pinning))
    return drawn


def _surface(sample: SampleConfig, size: tuple[int, int], seed: int) -> np.ndarray | None:
    """Response of grains and dust over the sample, smooth on the scale of a pixel."""
    if not (sample.grain_contrast or sample.grain_groove or sample.dust):
        return None
    generator = stream(seed, "surface")
    grains = unclean.grain_response(
        size,
        grain_size=sample.grain_size,
        contrast=sample.grain_contrast,
        groove=sample.grain_groove,
        generator=generator,
    )
    n_spots = int(generator.poisson(sample.dust * size[0] * size[1] / 256**2))
    dust = unclean.dust_response(size, n_spots=n_spots, radius=DUST, generator=generator)
    return ndimage.gaussian_filter(grains * dust, SHARPEST, mode="wrap").astype(np.float32)


def _grains(grain_size: float, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Topography of mean 0 and sd 1: grains with one height each, grooves between them, fine roughness."""
    count = max(4, round(size[0] * size[1] / grain_size**2))
    centres = generator.uniform(0, size, (count, 2))
    y, x = np.indices(size)
    points = np.stack((y.ravel(), x.ravel()), axis=1)
    distance, nearest = map(np.asarray, KDTree(centres, boxsize=size).query(points, k=2))
    grain = generator.standard_normal(count)[nearest[:, 0]].reshape(size)
    groove = np.exp(-(distance[:, 1] - distance[:, 0]) / 2).reshape(size)
    rough = smooth_noise(size, 3.0, generator)
    height = ndimage.gaussian_filter(grain - groove + 0.3 * rough, 1.0, mode="wrap")
    height -= height.mean()
    return height / height.std()


def window(image: np.ndarray, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The window of a periodic image whose first pixel is at `corner` (y, x) [px], with sub-pixel accuracy.

    The image must be smooth on the scale of a pixel: it is shifted in Fourier space.
    """
    whole = np.floor(corner).astype(int)
    spectrum = ndimage.fourier_shift(fft.rfft2(image), whole - corner, n=image.shape[1])
    shifted = np.asarray(fft.irfft2(spectrum, s=image.shape))
    rows, columns = ((np.arange(n) + w) for n, w in zip(size, whole, strict=True))
    return shifted[np.ix_(rows % image.shape[0], columns % image.shape[1])].astype(np.float32)
