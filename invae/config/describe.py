"""What is extracted from a recording before a model sees it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from invae.config.atoms import AtomsConfig, DenseConfig
from invae.config.patterns import PatternsConfig
from invae.config.schema import Config


class RegistrationConfig(Config):
    """Drift between frames, from channels that do not switch."""

    enabled: bool = True
    """Register the frames; a single frame is never registered."""
    channels: tuple[str, ...] = ("deflection", "amplitude", "height")
    """Channels to register on, those that the recording has; never the switching phase."""
    upsample: Annotated[int, Field(ge=1, le=200)] = 20
    """Sub-pixel factor of the cross-correlation; 20 means steps of 0.05 px."""
    max_drift: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Largest believable drift between registered frames, as a fraction of the frame."""


class PhaseConfig(Config):
    """From the lock-in's phase to the sign of the polarization."""

    offset: float | None = None
    """Instrumental phase offset [rad]; estimated from the doubled angle when empty."""
    flip: bool = False
    """Swap up and down: the estimate leaves an ambiguity of 180 degrees."""


class MaskConfig(Config):
    """Where the recording is not to be believed."""

    scan_lines: Literal["auto", "rows", "columns"] = "auto"
    """How the scan lines lie in the array; found from the jumps between lines when auto."""
    bad_line_threshold: Annotated[float, Field(gt=0)] = 8.0
    """Robust z-score of a line's difference from its neighbours above which the line is masked."""
    tip_loss_alignment: Annotated[float, Field(ge=-1, le=1)] = 0.4
    """Mean of cos 2(phase - offset) over a scan line below which the line shows neither up nor down."""
    tip_loss_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Median amplitude of a line below this share of the frame's means that the tip lost contact."""
    tip_loss_lines: Annotated[int, Field(ge=1)] = 9
    """Fewest neighbouring lines that make a lost band; narrower ones may be stripes of the sample."""


class WallConfig(Config):
    """Domain walls, as zero lines of the smoothed signed polarization."""

    smoothing: Annotated[float, Field(ge=0.3, le=10)] = 1.5
    """Sd of the Gaussian applied before the zero line is traced [px]."""
    min_contrast: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Least polarization that a domain reaches somewhere, a domain's usual one being 1."""
    min_length: Annotated[float, Field(ge=0)] = 8.0
    """Shorter contours and skeleton pieces are noise [px]."""
    canny_sigma: Annotated[float, Field(ge=0.3, le=10)] = 2.0
    """Sd of the Gaussian inside the Canny detector shown beside the contours [px]."""
    non180: bool = True
    """Also look for stripes of low out-of-plane amplitude (non-180-degree walls)."""
    non180_scale: Annotated[float, Field(ge=0.5, le=20)] = 2.0
    """Half the width of the stripes looked for [px]."""
    non180_depth: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Least dip of the amplitude in a stripe, as a share of the amplitude around it."""


class SiteConfig(Config):
    """Where patches are centred."""

    kind: Literal["wall", "grid"] = "wall"
    """On wall points, or on a square grid."""
    spacing: Annotated[float, Field(ge=1)] = 6.0
    """Distance between neighbouring sites [px]."""
    max_per_frame: Annotated[int, Field(ge=1)] = 1000
    """Keep at most so many sites of a frame, evenly spread."""
    max_sites: Annotated[int, Field(ge=1)] = 50_000
    """Keep at most about so many sites of the recording, the same number for every frame."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Least share of a patch that must be unmasked and inside the frame."""


class SignalChannels(Config):
    """One channel per signal, all from the same frame."""

    kind: Literal["signals"] = "signals"
    names: tuple[Literal["polarization", "amplitude", "phase", "height", "deflection"], ...] = (
        "polarization",
    )
    """Signals, in the order of the channels."""


class DelayChannels(Config):
    """Time delay: the polarization of several frames as channels, drift removed."""

    kind: Literal["delay"] = "delay"
    delays: tuple[int, ...] = (-1, 0, 1)
    """Frames relative to the site's own; sites that lack one of them are left out."""


class LayerChannels(Config):
    """Multilayer: maps of 180-degree walls, of all walls and of their difference as channels."""

    kind: Literal["layers"] = "layers"
    names: tuple[Literal["wall_180", "wall_all", "wall_non180"], ...] = (
        "wall_180",
        "wall_all",
        "wall_non180",
    )
    """Layers, in the order of the channels."""


class PatchConfig(Config):
    """What is cut out around a site."""

    window: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of the square patch [px]."""
    channels: Annotated[
        SignalChannels | DelayChannels | LayerChannels, Field(discriminator="kind")
    ] = SignalChannels()
    """What the channels of a patch are."""


class WallsConfig(Config):
    """PFM frames to domain walls and patches around them."""

    kind: Literal["walls"] = "walls"
    amplitude: str | None = None
    """Name of the amplitude channel; the first one found when empty."""
    phase: str | None = None
    """Name of the phase channel; the first one found when empty."""
    registration: RegistrationConfig = RegistrationConfig()
    phase_offset: PhaseConfig = PhaseConfig()
    masks: MaskConfig = MaskConfig()
    walls: WallConfig = WallConfig()
    sites: SiteConfig = SiteConfig()
    patches: PatchConfig = PatchConfig()


class ImagesConfig(Config):
    """A set of images: every frame is one patch, with what is known of it beside it."""

    kind: Literal["images"] = "images"
    signals: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Signals that are the channels of a patch, in this order; all of the recording when empty."""
    crop: Annotated[int, Field(ge=1)] | None = None
    """Side of the square in the middle of a frame that is kept [px]; the whole frame when empty."""
    bin: Annotated[int, Field(ge=1, le=64)] = 1
    """Mean over so many pixels along each axis; an axis of one pixel is left as it is."""
    labels: str | None = None
    """Variable over frames whose values are classes, counted from 0, -1 where not known; for families ss…"""
    label_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Only this share of the labels and targets is given to the training, chosen by `label_seed`."""
    label_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Which labels are kept follows from this."""
    condition: tuple[str, ...] = ()
    """Variables over frames given to families c…; one with named values becomes a number for each name."""
    target: tuple[str, ...] = ()
    """Continuous variables over frames, NaN where not known, for families ssreg…"""


def _kind(values: Any) -> str:
    """The tag of a describe section; walls, if it does not say. Unlike `walls`, it is no key in it."""
    kind = values.get("kind", "walls") if isinstance(values, Mapping) else values.kind
    return f"kind={kind}"


DescribeConfig = Annotated[
    Annotated[WallsConfig, Tag("kind=walls")]
    | Annotated[ImagesConfig, Tag("kind=images")]
    | Annotated[AtomsConfig, Tag("kind=atoms")]
    | Annotated[DenseConfig, Tag("kind=dense")]
    | Annotated[PatternsConfig, Tag("kind=patterns")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message="kind is none of 'walls', 'images', 'atoms', 'dense', 'patterns'",
    ),
]
"""What the describe stage takes, by `kind`."""
