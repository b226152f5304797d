"""Recordings with known answers: what is on the sample, what the field does, and what the microscope adds."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Suit = Literal["clubs", "spades", "diamonds", "hearts"]


class FieldConfig(Config):
    """The applied field over time, in units of the Landau model (the bulk switches by itself at 0.385)."""

    waveform: Literal["constant", "sine", "square"] = "sine"
    """Constant, or alternating so that walls go forth and back."""
    amplitude: Annotated[float, Field(ge=-2, le=2)] = 0.16
    """Largest field; a free wall moves 12 px per frame and unit of field."""
    period: Annotated[float, Field(gt=0)] = 20.0
    """Frames in one cycle."""
    offset: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Constant field added."""


class PinConfig(Config):
    """Point defects: places where the double well is shallow, so that a wall costs less there."""

    density: Annotated[float, Field(ge=0, le=1000)] = 60.0
    """Mean number in 256 x 256 pixels."""
    depth: Annotated[float, Field(ge=-3, le=0)] = -0.9
    """Change of the quadratic coefficient (1 in the bulk) at the centre."""
    sd: Annotated[float, Field(gt=0, le=20)] = 3.0
    """Sd of the Gaussian [px]."""


class LamellaConfig(Config):
    """Static a-domains (non-180-degree): parallel stripes whose edges pin."""

    enabled: bool = True
    """Whether there are stripes."""
    angle: float = 30.0
    """Direction of the stripes, from the x axis towards -y, as np.rot90 turns [degree]."""
    period: Annotated[float, Field(gt=4)] = 56.0
    """Distance between neighbouring stripes [px]."""
    width: Annotated[float, Field(gt=1)] = 6.0
    """Width of one stripe [px]."""
    response: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Out-of-plane response inside a stripe, as a share of the response outside."""
    pinning: Annotated[float, Field(ge=-3, le=0)] = -0.3
    """Change of the quadratic coefficient along the edges."""


class SampleConfig(Config):
    """The ferroelectric: how domains lie at the start and what holds them."""

    start: Literal["labyrinth", "stripes", "nuclei"] = "labyrinth"
    """Domains in the first frame: random, parallel along y, or positive discs in a negative background."""
    domain_size: Annotated[float, Field(ge=4)] = 16.0
    """Typical width of a domain [px]; distance of the stripes' walls; radius of the discs."""
    pins: PinConfig = PinConfig()
    lamellae: LamellaConfig = LamellaConfig()
    bias_sd: Annotated[float, Field(ge=0, le=1)] = 0.12
    """Sd of the built-in field."""
    bias_length: Annotated[float, Field(gt=0)] = 12.0
    """Correlation length of the built-in field [px]."""
    depolarization: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Field against the mean polarization, per unit of it; keeps both polarities alive."""
    nucleation: Annotated[float, Field(ge=0)] = 0.8
    """Mean number of nuclei that appear per frame, polarized along the applied field."""
    nucleus_radius: Annotated[float, Field(gt=0)] = 9.0
    """Radius of a new nucleus [px]."""
    grain_size: Annotated[float, Field(gt=2)] = 14.0
    """Typical size of the grains in the topography [px]."""
    roughness: Annotated[float, Field(ge=0)] = 4.0
    """Sd of the topography [nm]."""


class ProbeConfig(Config):
    """The microscope: what lies between the polarization and the recorded channels."""

    snr: Annotated[float, Field(gt=0)] = 10.0
    """Response of a domain over the sd of the noise in each quadrature."""
    height_snr: Annotated[float, Field(gt=0)] = 20.0
    """Sd of the topography over the sd of its noise; the same ratio holds for the deflection."""
    response: Annotated[float, Field(gt=0)] = 100.0
    """Amplitude in the middle of a domain [pm]."""
    phase_offset: float = 0.6
    """Instrumental phase of the positive domains [rad]."""
    tip_sd: Annotated[float, Field(ge=0, le=2.5)] = 1.2
    """Sd of the Gaussian blur by the tip [px]."""
    background: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Electrostatic background, as a share of the response."""
    background_phase: float = 1.9
    """Phase of the background against that of positive domains [rad]."""
    drift: Annotated[float, Field(ge=0, le=10)] = 1.5
    """Largest drift from frame to frame [px]; a random walk kept within the margin."""
    row_skew: bool = True
    """Row y of frame k is recorded at time k + y/rows; else the whole frame at once."""
    scars: Annotated[float, Field(ge=0)] = 0.4
    """Mean number of scarred lines per frame."""
    tip_loss: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Probability that the tip loses contact during a frame."""
    tip_loss_rows: Annotated[int, Field(ge=1)] = 12
    """Lines lost at a time."""


class DomainsConfig(Config):
    """A PFM series of switching domains, with truth."""

    rows: Annotated[int, Field(ge=16, le=4096)] = 128
    """Lines of a frame [px]."""
    columns: Annotated[int, Field(ge=16, le=4096)] = 128
    """Pixels of a line [px]."""
    n_frames: Annotated[int, Field(ge=1)] = 40
    """Frames of the series."""
    pixel_size: Annotated[float, Field(gt=0)] = 10.0
    """Side of a pixel [nm]."""
    frame_interval: Annotated[float, Field(gt=0)] = 6.0
    """Time from frame to frame [s]."""
    steps_per_frame: Annotated[int, Field(ge=1)] = 40
    """Time steps of the Landau model between frames."""
    margin: Annotated[int, Field(ge=16)] = 32
    """Sample around the first frame, on each side [px]; drift stays 12 px inside it."""
    field: FieldConfig = FieldConfig()
    sample: SampleConfig = SampleConfig()
    probe: ProbeConfig = ProbeConfig()

    @model_validator(mode="after")
    def _lamellae_are_apart(self) -> Self:
        lamellae = self.sample.lamellae
        if lamellae.width >= lamellae.period / 2:
            raise ValueError(
                f"lamellae.width {lamellae.width} px must be below half of "
                f"lamellae.period {lamellae.period} px"
            )
        return self


class CardsConfig(Config):
    """The four suits of cards, sheared, turned and shifted, with truth."""

    n_per_suit: Annotated[int, Field(ge=1)] = 3000
    """Pictures of each suit."""
    size: Annotated[int, Field(ge=8, le=1024)] = 48
    """Side of a frame [px]."""
    fill: Annotated[float, Field(gt=0, le=1)] = 0.62
    """Longer side of an upright suit, as a fraction of the frame."""
    angle: Annotated[float, Field(ge=0, le=180)] = 120.0
    """Suits are turned by U(-angle, angle), positive as np.rot90 [degree]."""
    shear: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Suits are sheared along x, before the turn, by U(-shear, shear) [degree]."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Suits are shifted along each axis by U(-shift, shift), as a fraction of the frame."""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Sd of normal noise; a suit is 1 on a ground of 0."""
    suits: Annotated[tuple[Suit, ...], Field(min_length=1)] = (
        "clubs",
        "spades",
        "diamonds",
        "hearts",
    )
    """Suits drawn."""

    @model_validator(mode="after")
    def _suits_are_different(self) -> Self:
        if len({*self.suits}) < len(self.suits):
            raise ValueError(f"suits {', '.join(self.suits)} must differ; name each once")
        return self


class ShiftsConfig(Config):
    """Gaussian peaks on an axis, each at its own place, with truth."""

    n_signals: Annotated[int, Field(ge=1)] = 5000
    """Signals of the set."""
    n_points: Annotated[int, Field(ge=8, le=65536)] = 100
    """Points of a signal."""
    extent: Annotated[float, Field(gt=0)] = 12.0
    """The axis goes from -extent to extent."""
    position: Annotated[float, Field(ge=0)] = 3.0
    """Peaks lie between -position and position, on multiples of `position_step`."""
    position_step: Annotated[float, Field(gt=0)] = 0.1
    """Distance of neighbouring positions."""
    width: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.5, 5.0)
    """Smallest and largest sd of a peak, between which it is uniform."""
    noise: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.001, 0.1)
    """Smallest and largest sd of the noise of a signal, between which it is uniform; a peak is 1 high."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name, (low, high) in (("width", self.width), ("noise", self.noise)):
            if low > high:
                raise ValueError(f"{name} {low:g} to {high:g} falls; give the smaller value first")
        if self.position > self.extent:
            raise ValueError(f"position {self.position:g} must be within extent {self.extent:g}")
        return self


class DigitsConfig(Config):
    """Digits of an MNIST file, turned and shifted, with truth."""

    size: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Side of a frame [px]; that of the file's pictures when empty. Digits keep their size."""
    angle: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Digits are turned by U(-angle, angle), positive as np.rot90 [degree]."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Digits are shifted along each axis by U(-shift, shift), as a fraction of the frame."""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Sd of normal noise; ink is 1 on a ground of 0."""
    n_images: Annotated[int, Field(ge=1)] | None = None
    """Only so many pictures, from the start of the file; all of them when empty."""
