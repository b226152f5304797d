"""Settings of the describe stage: what is extracted from a recording for the model."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config


class RegistrationConfig(Config):
    """Drift between frames, estimated from channels that do not switch."""

    enabled: bool = True
    """Whether the frames are registered; a single frame never is."""
    channels: tuple[str, ...] = ("deflection", "amplitude", "height")
    """Channels used for registration, as far as the recording has them; never the switching phase."""
    upsample: Annotated[int, Field(ge=1, le=200)] = 20
    """Sub-pixel factor of the cross-correlation; 20 means steps of 0.05 px."""
    max_drift: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Largest accepted drift between registered frames, as a fraction of the frame."""


class PhaseConfig(Config):
    """From the phase of the lock-in amplifier to the sign of the polarization."""

    offset: float | None = None
    """Instrumental phase offset [rad]; estimated from the doubled phase when empty."""
    flip: bool = False
    """Whether up and down are swapped; the estimate of the offset is ambiguous by 180 degrees."""
    per_frame: bool | None = None
    """Whether every frame has its own offset; when empty, only if the frames differ by more than 20 degrees."""
    subtract_background: bool = False
    """Whether the constant complex background (an electrostatic signal) half way between up and down is subtracted."""
    align_sign: bool = True
    """Whether a sign that changes in both kinds of domains at once, while the walls stay, is turned back as a new phase reference."""


class MaskConfig(Config):
    """Detection of unreliable parts of a recording."""

    scan_lines: Literal["auto", "rows", "columns"] = "auto"
    """Direction of the scan lines in the array; auto estimates it from the jumps between lines."""
    bad_line_threshold: Annotated[float, Field(gt=0)] = 8.0
    """Robust z-score of the difference between a line and its neighbours above which the line is masked."""
    tip_loss_alignment: Annotated[float, Field(ge=-1, le=1)] = 0.4
    """Mean of cos 2(phase - offset) over a scan line below which the line is neither up nor down."""
    tip_loss_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Median amplitude of a line relative to that of the frame below which the tip lost contact."""
    drawn: Literal["exclude", "keep", "ignore"] = "exclude"
    """Mask that a person has drawn (Gwyddion): its pixels are excluded, only its pixels are kept, or it is ignored."""
    tip_loss_lines: Annotated[int, Field(ge=1)] = 9
    """Smallest number of neighbouring lines in a band of lost contact; narrower bands may be stripes of the sample."""


class WallConfig(Config):
    """Domain walls: contours of the smoothed signed polarization, half way between the levels of both domains."""

    method: Annotated[
        Literal["contour", "network", "both"], Field(exclude_if=lambda value: value == "contour")
    ] = "both"
    """Walls by contours and lamellae by a neural network (both), both by contours and dips of the signal (contour), or both by the network (network)."""
    level: Annotated[
        Literal["middle", "zero"], Field(exclude_if=lambda value: value == "middle")
    ] = "middle"
    """A wall is where the polarization is half way between both domains (middle), or zero."""
    min_probability: Annotated[float, Field(gt=0, lt=1, exclude_if=lambda value: value == 0.2)] = (
        0.2
    )
    """Least probability of a 180-degree wall within 1 px, for a contour to be kept by the network."""
    smoothing: Annotated[float, Field(ge=0.3, le=10)] | None = None
    """Sd of the Gaussian smoothing before the contour is traced [px]; from 1 to 1.5 by the measured noise when empty."""
    min_contrast: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Smallest peak polarization of a domain, relative to a typical domain."""
    min_length: Annotated[float, Field(ge=0)] = 8.0
    """Smallest length of a contour or skeleton branch [px]; shorter ones are noise."""
    canny_sigma: Annotated[float, Field(ge=0.3, le=10)] = 2.0
    """Sd of the Gaussian inside the Canny detector whose edges are shown with the contours [px]."""
    non180: bool = True
    """Whether lamellae of low out-of-plane amplitude are detected too; their edges are the non-180-degree walls."""
    non180_scale: Annotated[float, Field(ge=0.5, le=20)] = 2.0
    """Half the width of the detected stripes [px]."""
    non180_depth: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Smallest dip of the amplitude inside a stripe, relative to the amplitude around it."""


class SiteConfig(Config):
    """Centres of the patches."""

    kind: Literal["wall", "grid"] = "wall"
    """Sites lie on walls (wall) or on a square grid (grid)."""
    spacing: Annotated[float, Field(ge=1)] = 6.0
    """Distance of neighbouring sites [px]."""
    max_per_frame: Annotated[int, Field(ge=1)] = 1000
    """Largest number of sites per frame; a subset that is evenly spread is kept."""
    max_sites: Annotated[int, Field(ge=1)] = 50_000
    """Approximate largest number of sites of the recording, with the same number for every frame."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Smallest valid share of a patch (unmasked and inside the frame)."""


class SignalChannels(Config):
    """One channel per signal, all of the same frame."""

    kind: Literal["signals"] = "signals"
    names: tuple[Literal["polarization", "amplitude", "phase", "height", "deflection"], ...] = (
        "polarization",
    )
    """Signals in the order of the channels."""


class DelayChannels(Config):
    """Time delay: the drift-corrected polarization of several frames as channels."""

    kind: Literal["delay"] = "delay"
    delays: tuple[int, ...] = (-1, 0, 1)
    """Frames relative to that of the site; sites for which one is missing are left out."""


class DifferenceChannels(Config):
    """Motion: the polarization of a frame, and its changes until the next and since the last one, drift-corrected."""

    kind: Literal["differences"] = "differences"
    gain: Annotated[float, Field(gt=0, le=20)] = 2.5
    """Factor of the changes, which are small where walls move little."""
    smoothing: Annotated[float, Field(ge=0, le=5)] = 1.0
    """Sd of the Gaussian before differences are taken [px]."""
    clip: Annotated[float, Field(gt=0)] = 1.3
    """Largest polarization that counts, relative to a typical domain."""


class LayerChannels(Config):
    """Layers: maps of 180-degree walls, of all walls and of their difference as channels."""

    kind: Literal["layers"] = "layers"
    names: tuple[Literal["wall_180", "wall_all", "wall_non180"], ...] = (
        "wall_180",
        "wall_all",
        "wall_non180",
    )
    """Layers in the order of the channels."""


class PatchConfig(Config):
    """Size and channels of a patch."""

    window: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of the square patch [px]."""
    channels: Annotated[
        SignalChannels | DelayChannels | DifferenceChannels | LayerChannels,
        Field(discriminator="kind"),
    ] = SignalChannels()
    """Channels of a patch."""
    clip: Annotated[float | None, Field(gt=0, exclude_if=lambda clip: clip is None)] = None
    """Largest polarization and amplitude of a patch, relative to a typical domain; without it, dust sets the scale of the latent variables."""


class WallsConfig(Config):
    """Domain walls of PFM frames, and patches around them."""

    kind: Literal["walls"] = "walls"
    amplitude: str | None = None
    """Name of the amplitude channel; when empty the one of the preferred pair: vertical, first pass, lowest number."""
    phase: str | None = None
    """Name of the phase channel; when empty the one of the same direction, plane and number as the amplitude."""
    polarization: str | tuple[str, str] | None = None
    """Name of a channel that is the signed response, such as the X of a lock-in amplifier; or the names of X and Y."""
    phase_unit: Literal["degree", "rad"] | Annotated[float, Field(gt=0)] | None = None
    """Unit of the phase: degree, rad, or the degrees per unit of the channel; from the file when empty."""
    registration: RegistrationConfig = RegistrationConfig()
    phase_offset: PhaseConfig = PhaseConfig()
    masks: MaskConfig = MaskConfig()
    walls: WallConfig = WallConfig()
    sites: SiteConfig = SiteConfig()
    patches: PatchConfig = PatchConfig()


class ImagesConfig(Config):
    """A set of images: every frame is one patch, with its labels, conditions and targets."""

    kind: Literal["images"] = "images"
    signals: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Signals in the order of the channels of a patch; all signals when empty."""
    crop: Annotated[int, Field(ge=1)] | None = None
    """Side of the central square that is kept of a frame [px]; the whole frame when empty."""
    bin: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of pixels averaged along each axis; an axis of length one is not binned."""
    labels: str | None = None
    """Variable over frames with the class of each, counted from 0, -1 if unknown; for the families ss…"""
    label_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the labels and targets used in training; `label_seed` selects them."""
    label_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the selection of labels."""
    condition: tuple[str, ...] = ()
    """Variables over frames that condition the families c…; a variable with named values is one-hot encoded."""
    target: tuple[str, ...] = ()
    """Continuous variables over frames for the families ssreg…; NaN if unknown."""
