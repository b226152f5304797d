"""Settings for atomically resolved images and movies."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.schema import Config


class FindConfig(Config):
    """Detection of atoms."""

    method: Literal["maxima", "log", "network"] = "log"
    """Detector of atoms: maxima of the smoothed image above its surroundings (maxima), maxima of the Laplacian of
    a Gaussian (log), or a network trained on simulated lattices (network). The network detects more atoms where an
    atom counts fewer than a hundred electrons and neighbours are 6 to 28 pixels apart; it ignores `contrast` and
    `noise`."""
    atoms: Literal["bright", "dark", "auto"] = "auto"
    """Whether atoms are brighter or darker than what is between them (dark in ABF and BF images). auto says dark
    only where dips of the first frame are clearly sharper than peaks, with a note."""
    scale: Annotated[float, Field(ge=0.5, le=50)] | None = None
    """Sd of the smoothing [px], ideally the sd of an atom; estimated from the spectrum when empty."""
    min_distance: Annotated[float, Field(gt=0)] | None = None
    """Smallest distance of two atoms [px]; of two closer ones the weaker is dropped. Estimated from the spectrum when empty."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Smallest height above the surroundings, relative to the strong atoms nearby."""
    noise: Annotated[float, Field(ge=0)] = 5.0
    """Smallest height above the surroundings, in standard deviations of the local noise."""
    faint: Annotated[float, Field(gt=0, lt=1)] | None = 0.1
    """Smallest mean height of a fainter sublattice, relative to the strong atoms. The lattice predicts its positions,
    so that its single atoms may lie below the noise. No fainter sublattice is searched when empty."""
    refine: Literal["gaussian", "centroid"] = "gaussian"
    """Sub-pixel position: centre of a fitted Gaussian, or weighted centroid."""
    lines: Literal["straighten", "keep"] = "straighten"
    """Whether positions are corrected for the jitter of scan lines along x. The jitter is estimated where atoms in the left and right half of the frame agree."""


class LinkConfig(Config):
    """Links between detections of the same atom in the frames of a movie."""

    radius: Annotated[float, Field(gt=0)] | None = None
    """Largest displacement of an atom between two frames after drift correction [px]; a third of the neighbour distance
    when empty."""
    gap: Annotated[int, Field(ge=0)] = 2
    """Largest number of frames in which an atom may be missing."""


class FramesConfig(Config):
    """Patches of images or movies, and how they are cut out."""

    signal: str | None = None
    """Signal of the recording to use; the only one, or `image`, when empty."""
    window: Annotated[int, Field(ge=4, le=512)] = 32
    """Side of the square patch [px]."""
    window_nm: Annotated[float, Field(gt=0)] | None = None
    """Side of the square patch [nm], rounded to whole pixels; replaces `window`."""
    normalise: Literal["frame", "none"] = "frame"
    """frame subtracts the mean of every frame and divides by its standard deviation, which removes dose and gain;
    none keeps the recorded values."""
    background_nm: Annotated[float, Field(gt=0)] | None = None
    """Sd of the smoothed background that is subtracted from every frame [nm]; it removes thickness and dirt that vary
    over longer distances. No background is subtracted when empty."""


class AtomsConfig(FramesConfig):
    """Atoms of images or movies, and patches centred on them."""

    kind: Literal["atoms"] = "atoms"
    find: FindConfig = FindConfig()
    link: LinkConfig = LinkConfig()
    neighbours: Annotated[int, Field(ge=3, le=12)] | None = None
    """Number of nearest atoms whose mean position is the reference of `displacement`; 3, 4 or 6 from the lattice when empty."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Smallest valid share of a patch (inside the frame and finite). Atoms below it have a position and no patch."""


class DenseConfig(FramesConfig):
    """Patches on a regular grid of images or movies, without detection of atoms."""

    kind: Literal["dense"] = "dense"
    spacing: Annotated[float, Field(ge=1)] = 8.0
    """Distance of neighbouring patch centres [px]; patches overlap if it is smaller than the patch."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Smallest valid share of a patch (inside the frame and finite)."""
    max_per_frame: Annotated[int, Field(ge=1)] = 20_000
    """Largest number of patches per frame; a subset that is evenly spread is kept."""
    max_sites: Annotated[int, Field(ge=1)] = 200_000
    """Approximate largest number of patches of the recording, with the same number for every frame."""
