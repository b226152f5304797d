"""Settings of a simulated polycrystal in nano-beam diffraction."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config


class PhaseOfGrainsConfig(Config):
    """One phase: a plane lattice of reflections, or an amorphous ring."""

    lattice: Literal["hexagonal", "square", "rectangular", "oblique", "amorphous"] = "hexagonal"
    """Lattice of the reflections."""
    spacing: Annotated[float, Field(gt=0, le=200)] = 15.0
    """Distance of the first reflection, or radius of the amorphous ring [mrad]."""
    ratio: Annotated[float, Field(ge=1, le=5)] = 1.3
    """Second distance over the first one, for rectangular and oblique lattices."""
    angle: Annotated[float, Field(ge=30, le=150)] = 75.0
    """Angle between both directions of an oblique lattice [degree]."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the grains, relative to the other phases; every phase has at least one grain."""
    forbidden: bool = False
    """Whether reflections with an odd sum of indices are missing."""


class PolycrystalConfig(Config):
    """A 4D-STEM scan of a polycrystal with a small beam convergence, with ground truth."""

    phases: Annotated[tuple[PhaseOfGrainsConfig, ...], Field(min_length=1, max_length=8)] = (
        PhaseOfGrainsConfig(),
        PhaseOfGrainsConfig(lattice="square", spacing=13.0),
    )
    """Phases of the grains."""
    n_grains: Annotated[int, Field(ge=1, le=10000)] = 14
    """Number of grains, which are Voronoi cells."""
    n_scan_y: Annotated[int, Field(ge=1, le=4096)] = 64
    """Rows of probes."""
    n_scan_x: Annotated[int, Field(ge=1, le=4096)] = 64
    """Probes in a row."""
    scan_step: Annotated[float, Field(gt=0, le=1000)] = 2.0
    """Distance of neighbouring probes [nm]."""
    n_k: Annotated[int, Field(ge=16, le=1024)] = 64
    """Detector pixels along each side."""
    k_max: Annotated[float, Field(gt=0, le=200)] = 32.0
    """Half the side of the detector [mrad]."""
    centre: tuple[float, float] = (0.2, -0.3)
    """Position of the direct beam relative to the middle of the detector (k_y, k_x) [mrad]."""
    convergence: Annotated[float, Field(gt=0, le=60)] = 2.6
    """Radius of a disc [mrad]."""
    dose: Annotated[float, Field(gt=0, le=1e7)] = 1000.0
    """Mean number of electrons per pattern."""
    beam_energy: Annotated[float, Field(ge=20, le=1000)] = 200.0
    """Beam energy [keV]."""
    tilt: Annotated[float, Field(ge=0, le=60)] = 6.0
    """Sd of the centre of the Laue circle of a grain along each axis [mrad]."""
    dynamical: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Relative change of the reflections of a grain by multiple scattering: 1 makes some disappear."""
    strain: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    """Sd of every component of the strain of a grain."""
    bend: Annotated[float, Field(ge=0, le=20)] = 0.0
    """Change of the orientation across a grain, sd over the scan [degree]."""
    overlap: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Sd of the probe over boundaries [scan step]."""
    thickness: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Relative sd of the slowly varying thickness."""
    background: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Diffuse scattering at the centre, relative to the direct beam."""
    descan: tuple[float, float] = (0.0, 0.0)
    """Motion of the direct beam from the first to the last probe along both axes of the scan [mrad]."""
    direct_beam: Literal["recorded", "saturated", "blocked"] = "recorded"
    """Whether the direct beam is recorded, saturates the detector at a third of its intensity, or is blocked by a round stop."""

    @model_validator(mode="after")
    def _detector_holds_discs(self) -> Self:
        if self.k_max <= 2 * self.convergence:
            raise ValueError(
                f"k_max {self.k_max:g} mrad must exceed two radii of a disc, {2 * self.convergence:g} mrad"
            )
        return self
