"""How a 4D-STEM scan is taken in: what of the detector is kept, and which virtual images are made of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Degrees = Annotated[float, Field(ge=-360, le=360)]


class BandConfig(Config):
    """A ring of the detector that is summed."""

    inner: Annotated[float, Field(ge=0)] = 0.0
    """Where it begins [`units`]."""
    outer: Annotated[float, Field(gt=0)] | None = None
    """Where it ends [`units`]; at the detector's edge when empty."""
    units: Literal["disc", "mrad"] = "disc"
    """Shares of the bright-field disc's radius, or mrad."""

    @model_validator(mode="after")
    def _is_a_ring(self) -> Self:
        if self.outer is not None and self.outer <= self.inner:
            raise ValueError(
                f"a band from {self.inner:g} to {self.outer:g} {self.units} is empty; let it end further out"
            )
        return self


class ScanConfig(Config):
    """From the detector's patterns to those that are kept, and to the maps made in the same pass."""

    crop: Annotated[int, Field(ge=4)] | None = None
    """Side of the square kept around the optic axis [detector pixel]; the whole detector when empty."""
    bin: Annotated[int, Field(ge=1, le=64)] = 1
    """Detector pixels along each side that are added up into one."""
    bad_pixels: Literal["find", "keep"] = "find"
    """Whether hot and dead pixels of the detector are looked for and left out of every sum."""
    centre: Literal["disc", "file"] = "disc"
    """The optic axis: the centre of the bright-field disc, or where the file's calibration says it is."""
    convergence: Annotated[float, Field(gt=0)] | None = None
    """Convergence semi-angle [mrad]; overrides the file, and calibrates a detector that is not."""
    bf: BandConfig = BandConfig(outer=1.0)
    """Bright field."""
    abf: BandConfig = BandConfig(inner=0.5, outer=1.0)
    """Annular bright field."""
    haadf: BandConfig = BandConfig(inner=1.2)
    """Annular dark field: all that is scattered beyond the disc."""
    descan: Literal["none", "plane", "parabola"] = "none"
    """What is taken off the centre-of-mass maps: the tilt of the scan, also bent, or nothing."""
    rotation: Literal["auto", "none"] | Degrees = "none"
    """Turn of the centre-of-mass vectors into the scan's axes: found by least curl, none, or an angle [degree]."""
    slab_mb: Annotated[float, Field(gt=0, le=1024)] = 96
    """Size of a slab of scan rows, the unit of writing and of resuming [MB, uncompressed]; floats take half."""
