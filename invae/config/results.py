"""What is made of the latents, and how it is shown."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config

Baseline = Literal["pca", "ica", "nmf", "kmeans", "gmm", "umap"]


class EmbedConfig(Config):
    """Latents of every site."""

    batch_size: Annotated[int, Field(ge=1)] = 512
    """Sites per batch."""


class AnalyseConfig(Config):
    """From latents to classes, maps and descriptors of switching."""

    max_clusters: Annotated[int, Field(ge=1, le=50)] = 8
    """Largest number of Gaussian components tried; the BIC chooses."""
    traversal_steps: Annotated[int, Field(ge=2, le=33)] = 9
    """Images along each axis of the latent manifold."""
    pca_components: Annotated[int, Field(ge=1, le=64)] = 8
    """Principal components kept as a baseline."""
    baselines: tuple[Baseline, ...] = ("pca", "ica", "kmeans", "gmm")
    """Methods without invariance that are shown beside the model; nmf needs counts (also where a mean was taken off them) or other values that are not negative, umap its package."""
    example_angles: Annotated[int, Field(ge=0, le=32)] = 8
    """Sites of which the whole posterior over the angle is kept."""
    field: Literal["positive", "negative"] = "positive"
    """Sign of the applied field: which polarization counts as switched."""
    disc_radius: Annotated[float, Field(ge=2)] = 12.0
    """Radius of the disc in which the convexity of a wall is judged [px]."""
    surprise_radius: Annotated[float, Field(ge=0.5, le=100)] = 4.0
    """Sd of the neighbourhood in which what is found in a 4D-STEM scan is averaged before it is called unusual [scan step]."""
    surprise_lattice: Literal["find", "ignore"] = "find"
    """Whether a lattice is looked for in the maps of a 4D-STEM scan, so that what a place lacks of it counts as surprising; where there is none
    nothing changes."""
    surprise_threshold: Annotated[float, Field(gt=0)] = 5.0
    """Robust z-score above which a place of a scan is surprising."""
    wall_tolerance: Annotated[float, Field(ge=0)] = 2.0
    """Distance within which walls of successive frames are the same wall [px]."""


class ReportConfig(Config):
    """The HTML page and its figures."""

    title: str = ""
    """Title of the page; the recording's name when empty."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 110
    """Resolution of the figures [1/inch]."""
    max_frames: Annotated[int, Field(ge=1, le=64)] = 6
    """Most frames shown in a row of maps, evenly chosen."""
    colormap: str = "viridis"
    """Matplotlib colour map of scalar maps."""
    formats: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    """Formats in which every figure is also written to report/figures/."""
