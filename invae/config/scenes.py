"""Settings of simulated electron microscopy: sample, scan and dose."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Angle = Annotated[float, Field(ge=-360, le=360)]
Element = Literal["C", "Si", "S2", "Ti", "V", "Fe", "Sr", "Mo", "W", "Bi"]


class GrapheneConfig(Config):
    """A 4D-STEM scan of graphene, with ground truth."""

    structure: Literal["perfect", "vacancy", "silicon"] = "vacancy"
    """The atom nearest to the centre of the scan: carbon (perfect), missing (vacancy), or silicon."""
    places: Literal["raster", "partners"] = "raster"
    """Probe positions: a grid (raster), or one row per position with its symmetry partners about the central atom: rotated by 120° and
    240°, then these three mirrored, then the same sequence again (partners)."""
    n_scan_y: Annotated[int, Field(ge=1, le=4096)] = 32
    """Rows of probes."""
    n_scan_x: Annotated[int, Field(ge=1, le=4096)] = 32
    """Probes in a row; with partners six cover all of them."""
    scan_step: Annotated[float, Field(gt=0, le=10)] = 0.02
    """Distance of neighbouring probes [nm]; with partners no probe is farther than 16 steps from the central atom."""
    angle: Angle = 0.0
    """Rotation of the lattice, positive as np.rot90 [degree]; at 0 a zigzag row lies along x."""
    dose: Annotated[float, Field(gt=0, le=1e6)] = 1000.0
    """Mean number of electrons per pattern."""
    n_k: Annotated[int, Field(ge=4, le=1024)] = 32
    """Detector pixels along each side."""
    k_max: Annotated[float, Field(gt=0, le=90)] = 40.0
    """Largest angle along each axis of the detector [mrad]; the axis runs from -k_max to k_max."""
    beam_energy: Annotated[float, Field(ge=20, le=300)] = 60.0
    """Beam energy [keV]."""
    convergence: Annotated[float, Field(gt=0, le=60)] = 30.0
    """Convergence semi-angle of the probe [mrad]; there are no aberrations."""
    vibration: Annotated[float, Field(ge=0, le=0.05)] = 0.006
    """Root mean square thermal displacement of an atom along one axis in the weak-phase model [nm]; the default is an estimate for room
    temperature. Multislice uses static atoms."""
    relaxation: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.005
    """Outward displacement of the three neighbours of a defect [nm]; the default is an estimate, not a calculated value."""
    method: Literal["weak-phase", "multislice"] = "weak-phase"
    """Model of the patterns. multislice needs the extra `multislice` (abTEM) and takes ten times as long."""

    @model_validator(mode="after")
    def _detector_holds_the_disc(self) -> Self:
        if self.k_max <= self.convergence:
            raise ValueError(
                f"k_max {self.k_max:g} mrad must exceed convergence {self.convergence:g} mrad"
            )
        return self


class ImagingConfig(Config):
    """A series of HAADF-like images: frames, dose, and distortions of the scan."""

    n_frames: Annotated[int, Field(ge=1, le=100000)] = 8
    """Number of frames."""
    rows: Annotated[int, Field(ge=16, le=8192)] = 128
    """Number of lines in a frame."""
    columns: Annotated[int, Field(ge=16, le=8192)] = 128
    """Number of pixels in a line."""
    pixel_size: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Side of a pixel [nm]."""
    dose: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    """Mean counts at the centre of the faintest atom of the lattice, without background."""
    background: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    """Mean counts without atom."""
    uneven: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Relative sd of the background; it varies smoothly, as dirt on the sample does."""
    uneven_length: Annotated[float, Field(gt=0.01, le=1000)] = 0.5
    """Correlation length of the uneven background [nm]."""
    atom_sd: Annotated[float, Field(gt=0.005, le=1)] = 0.04
    """Sd of the image of an atom [nm]."""
    tails: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of an atom's height in the tails of the probe, a Gaussian three times as wide."""
    drift: Annotated[float, Field(ge=0, le=20)] = 0.5
    """Drift of the scan during a frame, in one random direction [px]."""
    jitter: Annotated[float, Field(ge=0, le=5)] = 0.2
    """Sd of the displacement of a line along x [px]."""


class GrapheneMovieConfig(Config):
    """HAADF-like frames of graphene that changes under the beam, with ground truth."""

    imaging: ImagingConfig = ImagingConfig()
    angle: Angle = 0.0
    """Rotation of the lattice, positive as np.rot90 [degree]."""
    n_silicon: Annotated[int, Field(ge=0, le=10000)] = 3
    """Number of silicon atoms in the first frame."""
    hop: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Probability that a silicon atom exchanges places with a neighbour between two frames."""
    loss: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Probability that a carbon atom is lost between two frames."""
    disorder: Annotated[float, Field(ge=0, le=0.1)] = 0.002
    """Sd along each axis of the random displacement of an atom per frame; displacements accumulate [nm]."""


class AtomFramesConfig(Config):
    """HAADF-like frames of a lattice with vacancies, dopants and disorder, with ground truth."""

    imaging: ImagingConfig = ImagingConfig(
        n_frames=1, rows=512, columns=512, atom_sd=0.07, jitter=0.2
    )
    lattice: Literal["square", "hexagonal", "honeycomb"] = "hexagonal"
    """Arrangement of the sites; the two sites of a honeycomb cell are its sublattices."""
    spacing: Annotated[float, Field(gt=0.05, le=5)] = 0.37
    """Distance of neighbouring sites [nm]."""
    elements: Annotated[tuple[Element, ...], Field(min_length=1, max_length=2)] = ("Mo",)
    """Element of every sublattice; S2 is a column of two sulphur atoms."""
    angle: Angle = 0.0
    """Rotation of the lattice, positive as np.rot90 [degree]."""
    disorder: Annotated[float, Field(ge=0, le=0.1)] = 0.005
    """Sd of the displacement of atoms from their sites along each axis [nm]."""
    vacancies: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fraction of sites without an atom."""
    dopant: Element = "W"
    """Element of the dopants."""
    doped: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fraction of sites with a dopant."""

    @model_validator(mode="after")
    def _sublattices_have_elements(self) -> Self:
        if len(self.elements) > 1 and self.lattice != "honeycomb":
            raise ValueError(
                f"elements {', '.join(self.elements)} are two, but a {self.lattice} lattice has one sublattice; name one"
            )
        return self


class LatticeConfig(Config):
    """HAADF-like frames of a perovskite whose B atoms are displaced oppositely on both sides of a ferroelectric wall, with ground truth."""

    imaging: ImagingConfig = ImagingConfig(n_frames=1, rows=256, columns=256, atom_sd=0.06)
    cell: Annotated[float, Field(gt=0.1, le=5)] = 0.396
    """Side of the square cell [nm]: bismuth at its corners, iron at its centre. Source: pseudocubic BiFeO3, Kubel & Schmid 1990,
    doi:10.1107/S0108768190006887."""
    angle: Angle = 0.0
    """Rotation of the lattice, positive as np.rot90 [degree]."""
    displacement: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Displacement of iron far from the wall [nm]; its sign changes across the wall. The default is an estimate."""
    displacement_angle: Angle = 45.0
    """Direction of the displacement, from the x axis towards -y [degree]."""
    wall_angle: Angle = 90.0
    """Direction of the wall through the centre of the frame, from the x axis towards -y [degree]."""
    wall_width: Annotated[float, Field(gt=0, le=100)] = 0.6
    """Distance from the wall at which the displacement is tanh(1) of its bulk value [nm]; the default is an estimate."""
