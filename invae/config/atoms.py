"""What is extracted from atomically resolved images and movies."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config


class FindConfig(Config):
    """Where the atoms are."""

    method: Literal["maxima", "log", "network"] = "log"
    """Maxima of the smoothed image over its surroundings, of the Laplacian of a Gaussian, or of what a network
    trained on simulated lattices marks. The network finds more where atoms count fewer than a hundred electrons,
    neighbours being 6 to 28 pixels apart; `contrast` and `noise` are not for it."""
    scale: Annotated[float, Field(ge=0.5, le=50)] | None = None
    """Sd of the smoothing, best an atom's own [px]; from the spectrum when empty."""
    min_distance: Annotated[float, Field(gt=0)] | None = None
    """Of two atoms nearer than this the weaker is dropped [px]; from the spectrum when empty."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Least rise above the surroundings, the strong atoms near by being 1."""
    noise: Annotated[float, Field(ge=0)] = 5.0
    """Least rise above the surroundings in standard deviations of the local noise."""
    faint: Annotated[float, Field(gt=0, lt=1)] | None = 0.1
    """Least mean height of a fainter kind of atom that the lattice repeats beside the strong ones, theirs being
    1; its atoms need not rise above the noise one by one. None is looked for when empty."""
    refine: Literal["gaussian", "centroid"] = "gaussian"
    """Position below a pixel, by a fitted Gaussian or by the weighted centroid."""
    lines: Literal["straighten", "keep"] = "straighten"
    """Whether the jitter of scan lines along x, where atoms left and right in the frame agree on it, is taken off positions."""


class LinkConfig(Config):
    """The same atom in the frames of a movie."""

    radius: Annotated[float, Field(gt=0)] | None = None
    """Farthest an atom moves from one frame to the next, drift apart [px]; a third of the distance of
    neighbours when empty."""
    gap: Annotated[int, Field(ge=0)] = 2
    """Frames in which an atom may be missing and still be the same."""


class FramesConfig(Config):
    """Patches of images or movies, and how they are cut."""

    signal: str | None = None
    """Signal of the recording; the only one, or `image`, when empty."""
    window: Annotated[int, Field(ge=4, le=512)] = 32
    """Side of the square patch [px]."""
    window_nm: Annotated[float, Field(gt=0)] | None = None
    """Side of the square patch [nm], to the nearest pixel; instead of `window`."""
    normalise: Literal["frame", "none"] = "frame"
    """Every frame minus its mean, over its standard deviation, so that dose and gain do not matter; or as
    recorded."""
    background_nm: Annotated[float, Field(gt=0)] | None = None
    """Sd of a smoothing that is subtracted from every frame [nm]: takes thickness and dirt away that change
    over more than that. Nothing is subtracted when empty."""


class AtomsConfig(FramesConfig):
    """Images or movies to atoms and patches centred on them."""

    kind: Literal["atoms"] = "atoms"
    find: FindConfig = FindConfig()
    link: LinkConfig = LinkConfig()
    neighbours: Annotated[int, Field(ge=3, le=12)] | None = None
    """Nearest atoms from whose middle `displacement` is counted; 3, 4 or 6 as the lattice has it when empty."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Least share of a patch inside the frame and finite; atoms with less keep their position only."""


class DenseConfig(FramesConfig):
    """Images or movies to windows side by side or overlapping, whatever is in them."""

    kind: Literal["dense"] = "dense"
    spacing: Annotated[float, Field(ge=1)] = 8.0
    """Distance between the middles of neighbouring windows [px]; they overlap where it is less than the window."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Least share of a window inside the frame and finite."""
    max_per_frame: Annotated[int, Field(ge=1)] = 20_000
    """Keep at most so many windows of a frame, evenly spread."""
    max_sites: Annotated[int, Field(ge=1)] = 200_000
    """Keep at most about so many windows of the recording, the same number for every frame."""
