"""Calibration from a sample of patterns before the pass: bad pixels, optic axis, disc and virtual detectors."""

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
"""Relative difference between the disc and the known convergence above which a note warns."""


@dataclass(frozen=True)
class Axes:
    """The axes of the detector in the file."""

    steps: tuple[float, float]
    """Size of a pixel (k_y, k_x) [`units`]."""
    zero: tuple[float, float] | None
    """The pixel at which both axes are 0, if it is on the detector."""
    units: str
    """`mrad`, `1/nm`, …, or `pixel`."""
    energy: float | None = None
    """Beam energy [keV]."""
    convergence: float | None = None
    """Semi-angle [mrad]."""

    @property
    def to_mrad(self) -> float | None:
        """Size of the unit [mrad]; none if unknown."""
        plain = {"mrad": 1.0, "rad": 1e3}.get(self.units)
        inverse = {"1/nm": 1.0, "1/angstrom": 10.0}.get(self.units)
        if inverse is None or self.energy is None:
            return plain
        return 1e3 * inverse * wavelength(self.energy)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The window of the detector and its calibration; positions are in pixels of the window."""

    window: Window
    centre: tuple[float, float]
    """The optic axis (k_y, k_x) [pixel]."""
    steps: tuple[float, float]
    """Size of a pixel (k_y, k_x) [`units`]."""
    units: str
    disc_radius: float
    """Radius of the bright-field disc [pixel]; 0 without a disc."""
    ellipse_ratio: float
    ellipse_angle: float
    """[rad]"""
    bands: Mapping[str, tuple[float, float]]
    """Inner and outer radius of the virtual detectors [pixel]."""
    valid: np.ndarray
    """False for hot and dead pixels (k_y, k_x)."""
    notes: tuple[str, ...] = ()
    level: float = 0.0
    """Dark level of a pixel of the window that is taken off the maps."""

    @property
    def detectors(self) -> Detectors:
        """The virtual detectors."""
        return Detectors(self.valid, self.centre, self.bands, self.steps)

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "valid"}
        bad = np.flatnonzero(~self.valid).tolist()
        return {**values, "window": asdict(self.window), "bad": bad, "shape": self.valid.shape}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The calibration from the values of `to_json`."""
        fields = dict(values)
        valid = np.ones(fields.pop("shape"), bool)
        valid.flat[fields.pop("bad")] = False
        pairs = {name: (fields[name][0], fields[name][1]) for name in ("centre", "steps")}
        bands = {name: (inner, outer) for name, (inner, outer) in fields["bands"].items()}
        window, notes = Window.from_json(fields["window"]), tuple(fields["notes"])
        return cls(
            **{**fields, **pairs, "bands": bands, "window": window, "notes": notes, "valid": valid}
        )


def calibrate(sample: np.ndarray, axes: Axes, config: ScanConfig) -> Calibration:
    """The calibration of a scan.

    Args:
        sample: Patterns from all over the scan (pattern, k_y, k_x).
        axes: The axes of the detector in the file.
        config: The configuration of the ingest.

    Raises:
        ConfigError: If a band is in mrad and the size of a pixel in mrad is unknown.
    """
    valid, notes = _valid(sample, config)
    hidden = _behind_stop(sample, valid, config)
    if hidden.any():
        notes.append(
            f"{int(hidden.sum())} detector pixels in the middle have no count in any pattern (a beam stop); they are left out of the maps"
        )
    valid = valid & ~hidden
    level = bad_pixels.dark_level(sample.mean(axis=0, dtype=float), valid)
    if level:
        notes.append(
            f"patterns lie on a level of {level:.3g}, since too much was subtracted from them; maps are computed without it"
        )
    mean = bad_pixels.bridged(sample.mean(axis=0, dtype=float) - level, hidden, valid)
    circle = disc.fit(bad_pixels.filled(mean, valid | hidden), n_patterns=len(sample))
    is_covered = hidden.any() and (circle is None or not disc.has_edge(mean, circle, valid))
    steps, units = _steps(None if is_covered else circle, axes, config, notes)
    known = Axes(steps, None, units, axes.energy, config.convergence or axes.convergence)
    if is_covered:
        circle = _covered(circle, hidden, known, notes)
    if circle is None:
        notes.append("no bright-field disc was found; the whole detector counts as bright field")
    centre = _axis(circle, axes, config, mean.shape)
    window = _window(centre, mean.shape, config, notes)
    in_mrad = known.to_mrad
    radius = circle.radius / config.bin if circle else 0.0
    step = config.bin * math.sqrt(steps[0] * steps[1])
    return Calibration(
        window=window,
        centre=window.position(centre),
        steps=(steps[0] * config.bin, steps[1] * config.bin),
        units=units,
        disc_radius=radius,
        ellipse_ratio=circle.ellipse_ratio if circle else 1.0,
        ellipse_angle=circle.ellipse_angle if circle else 0.0,
        bands={
            name: _band(name, getattr(config, name), radius, in_mrad and in_mrad * step, window)
            for name in BANDS
        },
        valid=window.valid(valid),
        notes=tuple(notes),
        level=level * config.bin**2,
    )


def wavelength(energy: float) -> float:
    """Wavelength [nm] of electrons of an energy [keV].

    Source: relativistic de Broglie wavelength, h / √(2 m e U (1 + e U / 2 m c²)), CODATA 2018.
    """
    volts = energy * 1e3
    return 1.226425943 / math.sqrt(volts * (1 + 0.978475587e-6 * volts))


def _behind_stop(sample: np.ndarray, valid: np.ndarray, config: ScanConfig) -> np.ndarray:
    """Pixels behind a beam stop (k_y, k_x); none if bad pixels are kept."""
    if config.bad_pixels == "keep":
        return np.zeros(valid.shape, bool)
    return bad_pixels.stop(sample, valid)


def _covered(
    around: disc.Disc | None, hidden: np.ndarray, axes: Axes, notes: list[str]
) -> disc.Disc:
    """The disc behind a beam stop: its radius by the convergence if the detector is calibrated, otherwise that of the stop.

    Args:
        around: The scattering around the stop, if it is round.
        hidden: Pixels behind the stop, bool (k_y, k_x).
        axes: The calibrated axes of the detector.
        notes: A line is added.
    """
    depth = bad_pixels.depth_in(hidden)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    middle = (float(y), float(x))
    y, x = (round(place) for place in (middle if around is None else around.centre))
    centre = around.centre if around is not None and hidden[y, x] else middle
    if axes.convergence is not None and axes.to_mrad is not None:
        radius = axes.convergence / (axes.to_mrad * math.sqrt(axes.steps[0] * axes.steps[1]))
        source = f"follows from the convergence of {axes.convergence:g} mrad"
    else:
        radius, source = float(depth.max()), "is taken as that of the stop"
    notes.append(
        f"the bright-field disc is covered by the beam stop, so that its edge is not seen: its radius of {radius:.1f} pixels {source}, "
        "and its centre is uncertain; set ingest.scan.convergence for a calibrated detector, ingest.scan.centre=file, and "
        "describe.radius beyond the stop"
    )
    return disc.Disc(centre, radius)


def _valid(sample: np.ndarray, config: ScanConfig) -> tuple[np.ndarray, list[str]]:
    """Valid pixels of the detector, and a note on the others."""
    everything = np.ones(sample.shape[1:], bool)
    if config.bad_pixels == "keep":
        return everything, []
    marked = bad_pixels.marked(sample)
    blind = bad_pixels.blind(sample, ~marked)
    faulty = bad_pixels.find(np.where(marked, 0, sample))
    hot, dead = (found & ~(marked | blind) for found in faulty)
    notes = _unmeasured(sample, marked, blind)
    known = ~(marked | blind)
    n_hot, n_dead = int(hot.sum()), int(dead.sum())
    if not n_hot + n_dead:
        return known, notes
    bad = f"{n_hot} hot and {n_dead} dead detector pixels"
    if bad_pixels.too_many(hot | dead):
        return known, [*notes, f"{bad} are too many for defects; none is left out"]
    return known & ~(hot | dead), [*notes, f"{bad} are left out of the maps"]


def _unmeasured(sample: np.ndarray, marked: np.ndarray, blind: np.ndarray) -> list[str]:
    """Notes on pixels that measure nothing."""
    notes = []
    if marked.any():
        notes.append(
            f"{int(marked.sum())} detector pixels are marked as masked (always {sample[0][marked][0]}) and left out of the maps"
        )
    if blind.any():
        notes.append(
            f"{int(blind.sum())} detector pixels between lit ones have no count in any pattern (a gap between chips or a beam stop); "
            "they are left out of the maps"
        )
    return notes


def _axis(
    circle: disc.Disc | None, axes: Axes, config: ScanConfig, shape: tuple[int, ...]
) -> tuple[float, float]:
    """The optic axis [detector pixel]: as configured, otherwise from the disc or the file."""
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    if config.centre == "file":
        return axes.zero or (circle.centre if circle else middle)
    return circle.centre if circle else (axes.zero or middle)


def _window(
    centre: tuple[float, float], shape: tuple[int, ...], config: ScanConfig, notes: list[str]
) -> Window:
    """The kept part of the detector; smaller than configured if the axis is near the border."""
    window = Window.around(centre, shape, crop=config.crop, binning=config.bin)
    sides = [n * config.bin for n in window.shape]
    if config.crop and min(sides) + config.bin <= config.crop:
        notes.append(
            f"a crop of {config.crop} pixels does not fit around the optic axis at "
            f"({centre[0]:.1f}, {centre[1]:.1f}); {sides[0]} × {sides[1]} pixels are kept"
        )
    return window


def _steps(
    circle: disc.Disc | None, axes: Axes, config: ScanConfig, notes: list[str]
) -> tuple[tuple[float, float], str]:
    """Size of a detector pixel and its unit: from the file, or from the disc and the convergence."""
    convergence = config.convergence or axes.convergence
    if circle is None or convergence is None:
        return axes.steps, axes.units
    if axes.units == "pixel":
        notes.append(
            f"the detector is calibrated by the convergence of {convergence:g} mrad: the radius of the "
            f"disc is {circle.radius:.2f} pixels"
        )
        step = convergence / circle.radius
        return (step, step), "mrad"
    if axes.to_mrad is not None:
        radius = circle.radius * axes.to_mrad * math.sqrt(axes.steps[0] * axes.steps[1])
        if abs(radius / convergence - 1) > DISAGREEMENT:
            notes.append(
                f"the radius of the disc is {radius:.3g} mrad in the file's calibration, but the "
                f"convergence is {convergence:g} mrad; check both"
            )
    return axes.steps, axes.units


def _band(
    name: str, band: BandConfig, radius: float, mrad: float | None, window: Window
) -> tuple[float, float]:
    """Inner and outer radius of a band [pixel of the window].

    Raises:
        ConfigError: If it is in mrad and the size of a pixel in mrad is unknown.
    """
    edge = math.hypot(*window.shape)
    if band.units == "mrad":
        if mrad is None:
            raise ConfigError(
                f"ingest.scan.{name} is in mrad, but the size of a detector pixel in mrad is unknown; "
                "set ingest.scan.convergence [mrad], or give the band in units of the disc"
            )
        unit = 1 / mrad
    elif radius:
        unit = radius
    else:  # without a disc bright field is everything; other bands use the largest circle
        unit = min(window.shape) / 2
        if name == "bf":
            return 0.0, edge
    return band.inner * unit, edge if band.outer is None else band.outer * unit
