"""Settings of simulated recordings with ground truth: sample, applied field and microscope."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Suit = Literal["clubs", "spades", "diamonds", "hearts"]


class FieldConfig(Config):
    """The applied field over time in units of the Landau model (the bulk switches by itself at 0.385)."""

    waveform: Literal["constant", "sine", "square", "staircase", "pulses"] = "sine"
    """Constant; alternating, so that walls move back and forth; rising in equal steps; or on during the first part of each period."""
    amplitude: Annotated[float, Field(ge=-2, le=2)] = 0.16
    """Largest field; a free wall moves 12 px per frame and unit of field."""
    period: Annotated[float, Field(gt=0)] = 20.0
    """Frames in one cycle."""
    offset: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Constant field that is added."""
    steps: Annotated[int, Field(ge=1, exclude_if=lambda steps: steps == 8)] = 8
    """Steps of a staircase; the last one is reached after one period and held."""
    duty: Annotated[float, Field(gt=0, le=1, exclude_if=lambda duty: duty == 0.5)] = 0.5
    """Share of a period during which a pulse is on."""
    recorded: Annotated[bool, Field(exclude_if=lambda recorded: not recorded)] = False
    """Whether the recording has the field at the start of every frame, as `applied_field`."""


class PinConfig(Config):
    """Point defects: positions of a shallow double well, which lower the energy of a wall."""

    density: Annotated[float, Field(ge=0, le=1000)] = 60.0
    """Mean number per 256 x 256 pixels."""
    depth: Annotated[float, Field(ge=-3, le=0)] = -0.9
    """Change of the quadratic coefficient at the centre (1 in the bulk)."""
    sd: Annotated[float, Field(gt=0, le=20)] = 3.0
    """Sd of the Gaussian [px]."""
    kind: Annotated[
        Literal["well", "gradient", "charged"], Field(exclude_if=lambda kind: kind == "well")
    ] = "well"
    """What a pin changes by `depth`: the quadratic coefficient, which the amplitude shows; or, hidden from it, the gradient coefficient or
    a field inside walls."""


class LamellaConfig(Config):
    """Static a-domains (non-180-degree): parallel stripes whose edges pin walls."""

    enabled: bool = True
    """Whether there are stripes."""
    angle: float = 30.0
    """Direction of the stripes, from the x axis towards -y, as np.rot90 turns [degree]."""
    period: Annotated[float, Field(gt=4)] = 56.0
    """Distance between neighbouring stripes [px]."""
    width: Annotated[float, Field(gt=1)] = 6.0
    """Width of one stripe [px]."""
    response: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Out-of-plane response inside a stripe, relative to the response outside."""
    pinning: Annotated[float, Field(ge=-3, le=0)] = -0.3
    """Change of the quadratic coefficient along the edges."""


class LamellaFamilyConfig(Config):
    """One more family of lamellae, at a random distance from the origin."""

    angle: float = 120.0
    """Direction, from the x axis towards -y, as np.rot90 turns [degree]."""
    period: Annotated[float, Field(gt=4)] = 40.0
    """Distance between neighbouring lamellae [px]."""
    width: Annotated[float, Field(gt=1)] = 6.0
    """Width of one lamella [px]."""
    response: Annotated[float, Field(ge=-1, le=1)] = 0.3
    """Out-of-plane response inside, relative to the response outside."""
    needle: Annotated[float, Field(ge=0)] = 0.0
    """Length over which a lamella narrows to a tip at a random place [px]; without tip if 0."""
    pinning: Annotated[float, Field(ge=-3, le=0)] = -0.3
    """Change of the quadratic coefficient along the edges."""


class SampleConfig(Config):
    """The ferroelectric: initial domains, and what pins them."""

    start: Literal["labyrinth", "stripes", "nuclei"] = "labyrinth"
    """Domains in the first frame: random, stripes parallel to y, or positive discs in a negative background."""
    domain_size: Annotated[float, Field(ge=4)] = 16.0
    """Typical width of a domain, distance of the walls of stripes, or radius of the discs [px]."""
    pins: PinConfig = PinConfig()
    lamellae: LamellaConfig = LamellaConfig()
    families: Annotated[
        tuple[LamellaFamilyConfig, ...], Field(exclude_if=lambda value: not value)
    ] = ()
    """Further families of lamellae."""
    grain_contrast: Annotated[float, Field(ge=0, le=1, exclude_if=lambda value: value == 0)] = 0.0
    """Grains respond by up to this share less than a perfect one."""
    grain_groove: Annotated[float, Field(ge=0, le=1, exclude_if=lambda value: value == 0)] = 0.0
    """The response is lower by this share between grains."""
    dust: Annotated[float, Field(ge=0, le=1000, exclude_if=lambda value: value == 0)] = 0.0
    """Mean number of spots without response, or with a far stronger one, per 256 x 256 pixels."""
    bias_sd: Annotated[float, Field(ge=0, le=1)] = 0.12
    """Sd of the built-in field."""
    bias_length: Annotated[float, Field(gt=0)] = 12.0
    """Correlation length of the built-in field [px]."""
    depolarization: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Field opposed to the mean polarization, per unit of it; it keeps both polarities present."""
    nucleation: Annotated[float, Field(ge=0)] = 0.8
    """Mean number of nuclei per frame, polarized along the applied field."""
    nucleus_radius: Annotated[float, Field(gt=0)] = 9.0
    """Radius of a new nucleus [px]."""
    grain_size: Annotated[float, Field(gt=2)] = 14.0
    """Typical size of the grains in the topography [px]."""
    roughness: Annotated[float, Field(ge=0)] = 4.0
    """Sd of the topography [nm]."""
    temperature: Annotated[
        float, Field(ge=0, le=0.2, exclude_if=lambda temperature: temperature == 0)
    ] = 0.0
    """Temperature in units of the Landau model; above 0 walls creep, and domains nucleate by themselves."""


class ProbeConfig(Config):
    """The microscope: from the polarization to the recorded channels."""

    snr: Annotated[float, Field(gt=0)] = 10.0
    """Response of a domain relative to the sd of the noise in each quadrature."""
    height_snr: Annotated[float, Field(gt=0)] = 20.0
    """Sd of the topography relative to the sd of its noise; the same ratio applies to the deflection."""
    response: Annotated[float, Field(gt=0)] = 100.0
    """Amplitude in the centre of a domain [pm]."""
    phase_offset: float = 0.6
    """Instrumental phase of the positive domains [rad]."""
    tip_sd: Annotated[float, Field(ge=0, le=2.5)] = 1.2
    """Sd of the Gaussian blur by the tip [px]."""
    background: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Electrostatic background relative to the response."""
    background_phase: float = 1.9
    """Phase of the background relative to that of positive domains [rad]."""
    line_gain: Annotated[float, Field(ge=0, le=1, exclude_if=lambda value: value == 0)] = 0.0
    """Relative sd of the gain of scan lines; bands of lines differ twice as much."""
    line_jumps: Annotated[float, Field(ge=0, le=10, exclude_if=lambda value: value == 0)] = 0.0
    """Sd of the displacement of a line along x [px]."""
    phase_drift: Annotated[float, Field(ge=0, le=3, exclude_if=lambda value: value == 0)] = 0.0
    """Sd of the slow drift of the phase during a frame [rad]."""
    drift: Annotated[float, Field(ge=0, le=10)] = 1.5
    """Largest drift between frames [px]; a random walk that stays within the margin."""
    row_skew: bool = True
    """Whether row y of frame k is recorded at time k + y/rows; otherwise the whole frame is recorded at once."""
    scars: Annotated[float, Field(ge=0)] = 0.4
    """Mean number of scarred lines per frame."""
    tip_loss: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Probability that the tip loses contact during a frame."""
    tip_loss_rows: Annotated[int, Field(ge=1)] = 12
    """Number of lines lost at a time."""


class DomainsConfig(Config):
    """A PFM series of switching domains, with ground truth."""

    rows: Annotated[int, Field(ge=16, le=4096)] = 128
    """Number of lines in a frame."""
    columns: Annotated[int, Field(ge=16, le=4096)] = 128
    """Number of pixels in a line."""
    n_frames: Annotated[int, Field(ge=1)] = 40
    """Number of frames."""
    pixel_size: Annotated[float, Field(gt=0)] = 10.0
    """Side of a pixel [nm]."""
    frame_interval: Annotated[float, Field(gt=0)] = 6.0
    """Time between frames [s]."""
    steps_per_frame: Annotated[int, Field(ge=1)] = 40
    """Number of time steps of the Landau model between frames."""
    margin: Annotated[int, Field(ge=16)] = 32
    """Simulated margin around the first frame on each side [px]; drift stays 12 px inside it."""
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
    """The four suits of cards, sheared, rotated and shifted, with ground truth."""

    n_per_suit: Annotated[int, Field(ge=1)] = 3000
    """Number of images of each suit."""
    size: Annotated[int, Field(ge=8, le=1024)] = 48
    """Side of a frame [px]."""
    fill: Annotated[float, Field(gt=0, le=1)] = 0.62
    """Longer side of an upright suit, as a fraction of the frame."""
    angle: Annotated[float, Field(ge=0, le=180)] = 120.0
    """Suits are rotated by U(-angle, angle), positive as np.rot90 [degree]."""
    shear: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Suits are sheared along x, before the rotation, by U(-shear, shear) [degree]."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Suits are shifted along each axis by U(-shift, shift), as a fraction of the frame."""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Sd of normal noise; a suit has the value 1, the background 0."""
    suits: Annotated[tuple[Suit, ...], Field(min_length=1)] = (
        "clubs",
        "spades",
        "diamonds",
        "hearts",
    )
    """Suits in the set."""

    @model_validator(mode="after")
    def _suits_are_different(self) -> Self:
        if len({*self.suits}) < len(self.suits):
            raise ValueError(f"suits {', '.join(self.suits)} must differ; name each once")
        return self


class ShiftsConfig(Config):
    """Gaussian peaks on an axis, each at its own position, with ground truth."""

    n_signals: Annotated[int, Field(ge=1)] = 5000
    """Number of signals."""
    n_points: Annotated[int, Field(ge=8, le=65536)] = 100
    """Number of points of a signal."""
    extent: Annotated[float, Field(gt=0)] = 12.0
    """The axis runs from -extent to extent."""
    position: Annotated[float, Field(ge=0)] = 3.0
    """Peaks lie between -position and position, at multiples of `position_step`."""
    position_step: Annotated[float, Field(gt=0)] = 0.1
    """Distance of neighbouring positions."""
    width: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.5, 5.0)
    """Smallest and largest sd of a peak; it is uniformly distributed between them."""
    noise: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.001, 0.1)
    """Smallest and largest sd of the noise of a signal, uniformly distributed between them; a peak has height 1."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name, (low, high) in (("width", self.width), ("noise", self.noise)):
            if low > high:
                raise ValueError(
                    f"{name} runs from {low:g} to {high:g}; give the smaller value first"
                )
        if self.position > self.extent:
            raise ValueError(f"position {self.position:g} must be within extent {self.extent:g}")
        return self


class DigitsConfig(Config):
    """Digits of an MNIST file, rotated and shifted, with ground truth."""

    size: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Side of a frame [px]; the size in the file when empty. Digits keep their size."""
    angle: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Digits are rotated by U(-angle, angle), positive as np.rot90 [degree]."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Digits are shifted along each axis by U(-shift, shift), as a fraction of the frame."""
    noise: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Sd of normal noise; ink has the value 1, the background 0."""
    n_images: Annotated[int, Field(ge=1)] | None = None
    """Number of images, from the start of the file; all when empty."""
