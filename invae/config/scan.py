"""Settings of the ingest of 4D-STEM scans: the part of the detector that is kept, and the virtual images."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Degrees = Annotated[float, Field(ge=-360, le=360)]


class BandConfig(Config):
    """A ring of the detector over which counts are summed."""

    inner: Annotated[float, Field(ge=0)] = 0.0
    """Inner radius [`units`]."""
    outer: Annotated[float, Field(gt=0)] | None = None
    """Outer radius [`units`]; the edge of the detector when empty."""
    units: Literal["disc", "mrad"] = "disc"
    """Fractions of the radius of the bright-field disc, or mrad."""

    @model_validator(mode="after")
    def _is_a_ring(self) -> Self:
        if self.outer is not None and self.outer <= self.inner:
            raise ValueError(
                f"a band from {self.inner:g} to {self.outer:g} {self.units} is empty; outer must exceed inner"
            )
        return self


class ScanConfig(Config):
    """The part of the patterns that is kept, and the maps computed in the same pass."""

    crop: Annotated[int, Field(ge=4)] | None = None
    """Side of the square kept around the optic axis [detector pixel]; the whole detector when empty."""
    bin: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of detector pixels summed along each axis."""
    bad_pixels: Literal["find", "keep"] = "find"
    """Whether hot and dead pixels of the detector are detected and left out of every sum."""
    centre: Literal["disc", "file"] = "disc"
    """Optic axis: the centre of the bright-field disc, or the position in the file's calibration."""
    convergence: Annotated[float, Field(gt=0)] | None = None
    """Convergence semi-angle [mrad]; replaces the value in the file, and calibrates a detector that has no calibration."""
    bf: BandConfig = BandConfig(outer=1.0)
    """Bright field."""
    abf: BandConfig = BandConfig(inner=0.5, outer=1.0)
    """Annular bright field."""
    haadf: BandConfig = BandConfig(inner=1.2)
    """Annular dark field: everything scattered beyond the disc."""
    descan: Literal["none", "plane", "parabola"] = "none"
    """Tilt of the scan that is subtracted from the centre-of-mass maps: none, a plane, or a parabola."""
    rotation: Literal["auto", "none"] | Degrees = "none"
    """Rotation of the centre-of-mass vectors into the axes of the scan: estimated from the least curl (auto), none, or an angle [degree]."""
    slab_mb: Annotated[float, Field(gt=0, le=1024)] = 96
    """Size of a slab of scan rows, the unit of writing and resuming [MB, uncompressed]; slabs of floats have half the size."""
