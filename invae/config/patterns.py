"""How the diffraction patterns of a scan become patches."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config

Neighbours = Literal[1, 5, 9, 13, 21, 37]


class PatternsConfig(Config):
    """A 4D-STEM scan: every probe position is a site, and its pattern the patch."""

    kind: Literal["patterns"] = "patterns"
    window: Annotated[int, Field(ge=4, le=256)] = 16
    """Side of the patch [px]; the pattern is resampled, the detector's own pixels are no limit."""
    radius: Annotated[float, Field(gt=0, le=200)] = 0.95
    """Scattering angle at which the patch ends [`radius_units`]. Inside the bright-field disc its edge, which neither turns nor changes, is left out."""
    radius_units: Literal["disc", "mrad"] = "disc"
    """Shares of the bright-field disc's radius, or mrad."""
    transform: Literal["none", "sqrt", "log", "anscombe"] = "anscombe"
    """none keeps counts as whole numbers, for likelihood `poisson`; anscombe makes the noise of counts 1 everywhere, sqrt about a half."""
    neighbours: Neighbours = 1
    """Probes looked at together: those at most 0, 1, 1.4, 2, 2.2 or 3.2 scan steps away; a site that lacks one is left out."""
    combine: Literal["sum", "rings", "apart"] = "sum"
    """All added up; one channel for each distance; or one for each neighbour, which then does not turn with the pattern."""
    deal_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Electrons that meet the border of two pixels of the patch are dealt out by chance, which follows from this."""
    common: Literal["remove", "keep"] = "keep"
    """Whether what all patterns of the scan share, such as the edge of the disc, is taken off after the transform; never off counts
    that stay counts."""
