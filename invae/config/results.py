"""Settings of the stages embed, analyse and report."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.field_table import FieldTable
from invae.config.schema import Config

Baseline = Literal["pca", "ica", "nmf", "kmeans", "gmm", "umap"]


class EmbedConfig(Config):
    """Latent variables of every site."""

    batch_size: Annotated[int, Field(ge=1)] = 512
    """Number of sites per batch."""


class GrainsConfig(Config):
    """Grains of a polycrystal in a 4D-STEM scan with separate discs."""

    phase_tolerance: Annotated[float, Field(gt=0, le=0.1)] = 0.012
    """Relative deviation of the positions of discs within a phase, by strain or distortion, sd. Lattices that differ by less than three times as much may count as one phase."""
    grain_tolerance: Annotated[float, Field(gt=0, le=30)] = 1.0
    """Largest misorientation of neighbouring regions of one grain [degree]."""


class AnalyseConfig(Config):
    """From latent variables to classes, maps and descriptors."""

    max_clusters: Annotated[int, Field(ge=1, le=50)] = 8
    """Largest number of Gaussian components; the BIC selects the number."""
    traversal_steps: Annotated[int, Field(ge=2, le=33)] = 9
    """Number of images along each axis of the latent manifold."""
    pca_components: Annotated[int, Field(ge=1, le=64)] = 8
    """Number of principal components kept as a baseline."""
    baselines: tuple[Baseline, ...] = ("pca", "ica", "kmeans", "gmm")
    """Methods without invariance shown for comparison. nmf needs counts (also after subtraction of a mean) or other non-negative values; umap needs its package."""
    example_angles: Annotated[int, Field(ge=0, le=32)] = 8
    """Number of sites whose full posterior of the angle is kept."""
    field: Literal["unknown", "positive", "negative", "recorded", "walls"] = "unknown"
    """Sign of the applied field, which defines the polarization that counts as switched: constant; that of every frame in the recording
    (a variable `applied_field`, `field`, `bias` or `voltage` over frames); or that of the force that moves the walls. Where it is
    unknown, results have the share of positive polarization, and nothing is called switched."""
    field_table: Annotated[FieldTable, Field(exclude_if=lambda rows: not rows)] = ()
    """Frame and field, one row per frame, or the path of a CSV file with them; used in place of `field`."""
    disc_radius: Annotated[float, Field(ge=2)] = 12.0
    """Radius of the disc in which the convexity of a wall is estimated [px]."""
    surprise_radius: Annotated[float, Field(ge=0.5, le=100)] = 4.0
    """Sd of the smoothing of the maps of a 4D-STEM scan before outliers are detected [scan step]."""
    surprise_lattice: Literal["find", "ignore"] = "find"
    """Whether a lattice is detected in the maps of a 4D-STEM scan, so that deviations from it count as outliers. Without a lattice the
    setting has no effect."""
    surprise_threshold: Annotated[float, Field(gt=0)] = 5.0
    """Robust z-score above which a position of the scan is an outlier."""
    grains: Annotated[GrainsConfig | None, Field(exclude_if=lambda value: value is None)] = None
    """Phases, orientation, strain and grains of a 4D-STEM scan of a polycrystal; they are not searched for when empty."""
    wall_tolerance: Annotated[float, Field(ge=0)] = 2.0
    """Largest distance between the same wall in successive frames [px]."""
    forces: Annotated[bool, Field(exclude_if=lambda forces: forces)] = True
    """Whether the forces on walls, events of switching and their kinetics are estimated from a series."""

    @property
    def field_is_known(self) -> bool:
        """Whether the result calls a polarization switched."""
        return self.field != "unknown" or bool(self.field_table)

    @model_validator(mode="after")
    def _one_field(self) -> Self:
        if self.field_table and self.field != "unknown":
            raise ValueError(
                f"both field ({self.field}) and field_table are given; give only one of them"
            )
        return self


class ReportConfig(Config):
    """The HTML page and its figures."""

    title: str = ""
    """Title of the page; the recording's name when empty."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 110
    """Resolution of the figures [1/inch]."""
    max_frames: Annotated[int, Field(ge=1, le=64)] = 6
    """Largest number of frames in a row of maps, evenly chosen."""
    colormap: str = "viridis"
    """Matplotlib colour map of scalar maps."""
    formats: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    """File formats in which every figure is also written to report/figures/."""
