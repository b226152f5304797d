"""Settings for patches made of the diffraction patterns of a scan."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Neighbours = Literal[1, 5, 9, 13, 21, 37]


class AlikeConfig(Config):
    """Sums over probes with similar surroundings. In a periodic structure many patterns can be summed without blur."""

    n_probes: Annotated[int, Field(ge=2, le=1024)] = 64
    """Number of patterns in a sum, including that of the probe itself; at most half of those within reach."""
    surroundings: Annotated[int, Field(ge=1, le=16)] = 4
    """Half the side of the compared square of probes [scan step]; a square wider than a defect misses it."""
    fewest: Annotated[int, Field(ge=1, le=1024)] = 4
    """Number of patterns in a sum where others differ by more than noise, as at a point defect: these are left out. `n_probes` sums all."""
    reach: Annotated[int, Field(ge=2, le=128)] = 24
    """Largest distance of a summed probe along each axis [scan step]."""


class PatternsConfig(Config):
    """A 4D-STEM scan: every probe position is a site, and its pattern is the patch."""

    kind: Literal["patterns"] = "patterns"
    window: Annotated[int, Field(ge=4, le=256)] = 16
    """Side of the patch [px]. The pattern is resampled, so that it may exceed the number of detector pixels."""
    radius: Annotated[float, Field(gt=0, le=200)] = 0.95
    """Scattering angle at the edge of the patch [`radius_units`]. The default leaves out the edge of the bright-field disc, which neither turns nor changes."""
    radius_units: Literal["disc", "mrad", "detector"] = "disc"
    """Fractions of the radius of the bright-field disc, mrad, or fractions of the distance from the optic axis to the farthest edge of the detector."""
    descan: Annotated[
        Literal["none", "plane", "parabola"], Field(exclude_if=lambda value: value == "none")
    ] = "none"
    """Motion of the direct beam over the scan, by which every pattern is moved back before it is resampled: none, a plane or a parabola through
    the positions of the direct beam. The direct beam must be recorded."""
    grid: Literal["cartesian", "polar"] = "cartesian"
    """Polar: rows are rings from the centre out, columns are directions from +x, positive as np.rot90. A rotation of the pattern is
    a shift along x, which lets a plain VAE or PCA be compared fairly. Models with rotation need Cartesian patches."""
    ellipse: Literal["keep", "correct"] = "keep"
    """Whether an elliptical bright-field disc, and the pattern with it, is corrected to a circle."""
    transform: Literal["none", "sqrt", "log", "anscombe", "pearson"] = "anscombe"
    """none keeps whole counts, for the likelihood `poisson`. anscombe makes the sd of the counting noise 1 where a pixel has several
    counts, sqrt about a half. pearson is the difference to the mean pattern in units of its Poisson noise, with an sd of 1 everywhere."""
    neighbours: Neighbours = 1
    """Number of probes combined: those within 0, 1, 1.4, 2, 2.2 or 3.2 scan steps. A site without all of them is left out."""
    alike: AlikeConfig | None = None
    """Sum of probes with similar surroundings; replaces `neighbours`."""
    combine: Literal["sum", "rings", "apart"] = "sum"
    """sum adds all patterns. rings makes one channel per distance. apart makes one channel per neighbour; these channels do not turn with the pattern."""
    deal_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the random assignment of electrons on the border of two pixels of the patch."""
    common: Literal["remove", "keep"] = "keep"
    """Whether the mean pattern of the scan, with the edge of the disc, is subtracted after the transform; it is never subtracted
    from whole counts."""

    @model_validator(mode="after")
    def _has_one_rule_for_sums(self) -> Self:
        if self.alike is not None and self.neighbours > 1:
            raise ValueError(
                f"neighbours is {self.neighbours} and alike is set; set one of them: neighbours=1 or alike=null"
            )
        return self
