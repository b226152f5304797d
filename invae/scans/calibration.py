"""What is found before the pass, from a sample of patterns: faulty pixels, the optic axis, the disc, the virtual detectors."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from invae.config.scan import BandConfig, ScanConfig
from invae.errors import ConfigError
from invae.scans import bad_pixels, disc
from invae.scans.virtual import BANDS, Detectors
from invae.scans.window import Window

DISAGREEMENT = 0.1
"""Relative difference between the disc and the known convergence from which it is told."""


@dataclass(frozen=True)
class Axes:
    """What the file says of the detector's axes."""

    steps: tuple[float, float]
    """Size of a pixel (k_y, k_x) [`units`]."""
    zero: tuple[float, float] | None
    """The pixel at which both are 0, if it is on the detector."""
    units: str
    """`mrad`, `1/nm`, …, or `pixel`."""
    energy: float | None = None
    """Of the beam [keV]."""
    convergence: float | None = None
    """Semi-angle [mrad]."""

    @property
    def to_mrad(self) -> float | None:
        """How many mrad one unit is; none if that is not known."""
        plain = {"mrad": 1.0, "rad": 1e3}.get(self.units)
        inverse = {"1/nm": 1.0, "1/angstrom": 10.0}.get(self.units)
        if inverse is None or self.energy is None:
            return plain
        return 1e3 * inverse * wavelength(self.energy)


@dataclass(frozen=True, eq=False)
class Calibration:
    """How patterns are taken in, and what is known of the detector; places are in pixels of what is kept."""

    window: Window
    centre: tuple[float, float]
    """The optic axis (k_y, k_x) [pixel]."""
    steps: tuple[float, float]
    """Size of a pixel (k_y, k_x) [`units`]."""
    units: str
    disc_radius: float
    """Of the bright-field disc [pixel]; 0 if none was found."""
    ellipse_ratio: float
    ellipse_angle: float
    """[rad]"""
    bands: Mapping[str, tuple[float, float]]
    """Inner and outer radius of the virtual detectors [pixel]."""
    valid: np.ndarray
    """False where a pixel is hot or dead (k_y, k_x)."""
    notes: tuple[str, ...] = ()

    @property
    def detectors(self) -> Detectors:
        """The virtual detectors."""
        return Detectors(self.valid, self.centre, self.bands, self.steps)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "valid"}
        bad = np.flatnonzero(~self.valid).tolist()
        return {**values, "window": asdict(self.window), "bad": bad, "shape": self.valid.shape}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_json` gave."""
        told = dict(values)
        valid = np.ones(told.pop("shape"), bool)
        valid.flat[told.pop("bad")] = False
        pairs = {name: (told[name][0], told[name][1]) for name in ("centre", "steps")}
        bands = {name: (inner, outer) for name, (inner, outer) in told["bands"].items()}
        window, notes = Window.from_json(told["window"]), tuple(told["notes"])
        return cls(
            **{**told, **pairs, "bands": bands, "window": window, "notes": notes, "valid": valid}
        )


def calibrate(sample: np.ndarray, axes: Axes, config: ScanConfig) -> Calibration:
    """How a scan is to be taken in.

    Args:
        sample: Patterns from all over the scan (pattern, k_y, k_x).
        axes: What the file says of the detector.
        config: What is to be kept.

    Raises:
        ConfigError: If a band is told in mrad and nothing says how many mrad a pixel is.
    """
    valid, notes = _valid(sample, config)
    mean = bad_pixels.filled(sample.mean(axis=0, dtype=float), valid)
    found = disc.fit(mean, n_patterns=len(sample))
    if found is None:
        notes.append("no bright-field disc was found; the whole detector is taken for bright field")
    centre = _axis(found, axes, config, mean.shape)
    window = _window(centre, mean.shape, config, notes)
    steps, units = _steps(found, axes, config, notes)
    in_mrad = Axes(steps, None, units, axes.energy).to_mrad
    radius = found.radius / config.bin if found else 0.0
    step = config.bin * math.sqrt(steps[0] * steps[1])
    return Calibration(
        window=window,
        centre=window.place(centre),
        steps=(steps[0] * config.bin, steps[1] * config.bin),
        units=units,
        disc_radius=radius,
        ellipse_ratio=found.ellipse_ratio if found else 1.0,
        ellipse_angle=found.ellipse_angle if found else 0.0,
        bands={
            name: _band(name, getattr(config, name), radius, in_mrad and in_mrad * step, window)
            for name in BANDS
        },
        valid=window.valid(valid),
        notes=tuple(notes),
    )


def wavelength(energy: float) -> float:
    """Of electrons [nm] of an energy [keV].

    Source: relativistic de Broglie wavelength, h / √(2 m e U (1 + e U / 2 m c²)), CODATA 2018.
    """
    volts = energy * 1e3
    return 1.226425943 / math.sqrt(volts * (1 + 0.978475587e-6 * volts))


def _valid(sample: np.ndarray, config: ScanConfig) -> tuple[np.ndarray, list[str]]:
    """Pixels of the detector that count, and what is to be said of the others."""
    everything = np.ones(sample.shape[1:], bool)
    if config.bad_pixels == "keep":
        return everything, []
    hot, dead = bad_pixels.find(sample)
    n_hot, n_dead = int(hot.sum()), int(dead.sum())
    if not n_hot + n_dead:
        return everything, []
    told = f"{n_hot} hot and {n_dead} dead detector pixels"
    if bad_pixels.too_many(hot | dead):
        return everything, [f"{told} are too many to be faults; none is left out"]
    return ~(hot | dead), [f"{told} are left out of the maps"]


def _axis(
    found: disc.Disc | None, axes: Axes, config: ScanConfig, shape: tuple[int, ...]
) -> tuple[float, float]:
    """The optic axis [detector pixel]: as asked for, else what is known."""
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    if config.centre == "file":
        return axes.zero or (found.centre if found else middle)
    return found.centre if found else (axes.zero or middle)


def _window(
    centre: tuple[float, float], shape: tuple[int, ...], config: ScanConfig, notes: list[str]
) -> Window:
    """What of the detector is kept; less than was asked for where the axis is near its border."""
    window = Window.around(centre, shape, crop=config.crop, binning=config.bin)
    kept = [n * config.bin for n in window.shape]
    if config.crop and min(kept) + config.bin <= config.crop:
        notes.append(
            f"a crop of {config.crop} pixels does not fit around the optic axis at "
            f"({centre[0]:.1f}, {centre[1]:.1f}); {kept[0]} × {kept[1]} pixels are kept"
        )
    return window


def _steps(
    found: disc.Disc | None, axes: Axes, config: ScanConfig, notes: list[str]
) -> tuple[tuple[float, float], str]:
    """Size of a detector pixel and its unit: the file's, or from the disc and the convergence."""
    convergence = config.convergence or axes.convergence
    if found is None or convergence is None:
        return axes.steps, axes.units
    if axes.units == "pixel":
        notes.append(
            f"the detector is calibrated by the convergence of {convergence:g} mrad: the disc has "
            f"{found.radius:.2f} pixels"
        )
        step = convergence / found.radius
        return (step, step), "mrad"
    if axes.to_mrad is not None:
        seen = found.radius * axes.to_mrad * math.sqrt(axes.steps[0] * axes.steps[1])
        if abs(seen / convergence - 1) > DISAGREEMENT:
            notes.append(
                f"the disc's radius is {seen:.3g} mrad in the file's calibration, the convergence is "
                f"{convergence:g} mrad; check both"
            )
    return axes.steps, axes.units


def _band(
    name: str, band: BandConfig, radius: float, mrad: float | None, window: Window
) -> tuple[float, float]:
    """Inner and outer radius of a band [pixel of the window].

    Raises:
        ConfigError: If it is told in mrad and the size of a pixel in mrad is not known.
    """
    edge = math.hypot(*window.shape)
    if band.units == "mrad":
        if mrad is None:
            raise ConfigError(
                f"ingest.scan.{name} is told in mrad, and nothing says how many a detector pixel "
                "has; set ingest.scan.convergence [mrad], or tell it in shares of the disc"
            )
        unit = 1 / mrad
    elif radius:
        unit = radius
    else:  # no disc: bright field is everything, the others count from the largest circle
        unit = min(window.shape) / 2
        if name == "bf":
            return 0.0, edge
    return band.inner * unit, edge if band.outer is None else band.outer * unit
