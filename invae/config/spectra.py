"""Settings for spectra, and for spectra with the image about their place."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Positive = Annotated[float, Field(gt=0)]
Reason = Literal["clipped", "spikes", "amplitude"]


class GateConfig(Config):
    """Which spectra can be used."""

    threshold: Annotated[float, Field(ge=1, le=100)] = 4.0
    """Deviation from the local median that is a spike [sd of the noise]; spikes are replaced by the values beside them."""
    most_spikes: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Largest share of spikes and rough values in a spectrum, beyond what most spectra have."""
    most_amplitude: Annotated[float, Field(ge=1, le=1000)] = 6.0
    """Largest robust z-score of the logarithm of a spectrum's norm."""
    keep: tuple[Reason, ...] = ()
    """Reasons for which no spectrum is left out."""


class SpectrumConfig(Config):
    """Which spectra of a recording are used, and how they are stored."""

    spectrum: str | None = None
    """Channel of the spectra; the only or first one when empty."""
    axis_range: tuple[float, float] | None = None
    """Smallest and largest value of the axis that is kept [unit of the axis]; the whole axis when empty."""
    axis_bin: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of successive values that are averaged."""
    normalise: Literal["none", "max", "area"] = "none"
    """max divides each spectrum by its largest magnitude, area by the integral of its magnitude over the axis."""
    gate: GateConfig = GateConfig()

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.axis_range is not None and self.axis_range[0] >= self.axis_range[1]:
            low, high = self.axis_range
            raise ValueError(
                f"axis_range runs from {low:g} to {high:g}; give the smaller value first"
            )
        return self


class SpectraConfig(SpectrumConfig):
    """Every valid spectrum is a patch of one row."""

    kind: Literal["spectra"] = "spectra"


class GridPlaceConfig(Config):
    """Where a grid of spectra is on the survey image."""

    origin: tuple[float, float]
    """Place (y, x) of the first spectrum on the image [px of the image]; the centre of its first pixel is (0, 0)."""
    step: tuple[Positive, Positive]
    """Distance of neighbouring spectra along the axes (y, x) of the grid [px of the image]."""
    angle: Annotated[float, Field(ge=-360, le=360)] = 0.0
    """Angle of the grid on the image [degree], positive as np.rot90."""


class PairsConfig(SpectrumConfig):
    """Every valid spectrum with the patch of the image about its place."""

    kind: Literal["pairs"] = "pairs"
    image: Literal["grid", "survey", "sum", "first"] | None = None
    """Images from which patches are cut: those of the grid or of the points (grid), the survey, the sum of the spectra over their
    axis, or their first value, as before the sweep. Sum and first value share noise with the spectra, so that a model can predict noise.
    When empty: grid, else survey."""
    channels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Images in the order of the channels of a patch; all of them when empty."""
    window: Annotated[int, Field(ge=2, le=512)] = 16
    """Side of the square patch [px of the image]."""
    window_nm: Positive | None = None
    """Side of the square patch [nm], rounded to whole pixels; replaces `window`."""
    grid_to_image: GridPlaceConfig | None = None
    """Place of the grid on the survey; replaces the place in the file."""
