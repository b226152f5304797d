"""How the diffraction patterns of a scan become patches."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Neighbours = Literal[1, 5, 9, 13, 21, 37]


class AlikeConfig(Config):
    """Probes whose surroundings look alike, wherever within reach they lie: where a structure repeats itself many patterns can be added up
    without a blur.
    """

    n_probes: Annotated[int, Field(ge=2, le=1024)] = 64
    """How many are added up, the probe itself among them; at most half of those within reach."""
    surroundings: Annotated[int, Field(ge=1, le=16)] = 4
    """Half the side of the square of probes that is compared [scan step]; one that is wider than a defect overlooks it."""
    reach: Annotated[int, Field(ge=2, le=128)] = 24
    """How far they may lie from the probe along each axis [scan step]."""


class PatternsConfig(Config):
    """A 4D-STEM scan: every probe position is a site, and its pattern the patch."""

    kind: Literal["patterns"] = "patterns"
    window: Annotated[int, Field(ge=4, le=256)] = 16
    """Side of the patch [px]; the pattern is resampled, the detector's own pixels are no limit."""
    radius: Annotated[float, Field(gt=0, le=200)] = 0.95
    """Scattering angle at which the patch ends [`radius_units`]. Inside the bright-field disc its edge, which neither turns nor changes, is left out."""
    radius_units: Literal["disc", "mrad"] = "disc"
    """Shares of the bright-field disc's radius, or mrad."""
    grid: Literal["cartesian", "polar"] = "cartesian"
    """Polar: rows are rings from the middle out, columns directions from +x as np.rot90; a turn of the pattern is a shift along x, so that
    a plain VAE or principal components can be told of it. Models that know rotation want Cartesian patches."""
    ellipse: Literal["keep", "correct"] = "keep"
    """Whether a bright-field disc that is an ellipse is made round, and all of the pattern with it."""
    transform: Literal["none", "sqrt", "log", "anscombe", "pearson"] = "anscombe"
    """none keeps counts as whole numbers, for likelihood `poisson`; anscombe makes the noise of counts 1 where there are several in a pixel,
    sqrt about a half; pearson, the difference from what all patterns share in units of its Poisson noise, makes it 1 everywhere."""
    neighbours: Neighbours = 1
    """Probes looked at together: those at most 0, 1, 1.4, 2, 2.2 or 3.2 scan steps away; a site that lacks one is left out."""
    alike: AlikeConfig | None = None
    """Probes that look alike are added up in place of the nearest ones."""
    combine: Literal["sum", "rings", "apart"] = "sum"
    """All added up; one channel for each distance; or one for each neighbour, which then does not turn with the pattern."""
    deal_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Electrons that meet the border of two pixels of the patch are dealt out by chance, which follows from this."""
    common: Literal["remove", "keep"] = "keep"
    """Whether what all patterns of the scan share, such as the edge of the disc, is taken off after the transform; never off counts
    that stay counts."""

    @model_validator(mode="after")
    def _either_near_or_alike(self) -> Self:
        if self.alike is not None and self.neighbours > 1:
            raise ValueError(
                f"both neighbours ({self.neighbours}) and alike are asked for; set one of them, neighbours=1 or alike=null"
            )
        return self
