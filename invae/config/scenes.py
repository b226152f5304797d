"""Simulated electron microscopy: what lies under the beam, how it is scanned, and with how many electrons."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Angle = Annotated[float, Field(ge=-360, le=360)]
Element = Literal["C", "Si", "S2", "Ti", "V", "Fe", "Sr", "Mo", "W", "Bi"]


class GrapheneConfig(Config):
    """A 4D-STEM scan of graphene, with truth."""

    structure: Literal["perfect", "vacancy", "silicon"] = "vacancy"
    """What the atom nearest the middle of the scan is: carbon, missing, or silicon."""
    places: Literal["raster", "partners"] = "raster"
    """Where the probes are: on a grid, or a row for every place, which its partners about the middle atom follow: turned by 120° and 240°,
    then all three mirrored, then the same again."""
    n_scan_y: Annotated[int, Field(ge=1, le=4096)] = 32
    """Rows of probes."""
    n_scan_x: Annotated[int, Field(ge=1, le=4096)] = 32
    """Probes in a row; with partners 6 are all there are."""
    scan_step: Annotated[float, Field(gt=0, le=10)] = 0.02
    """Distance of neighbouring probes [nm]; with partners no probe is further from the middle atom than 16 of them."""
    angle: Angle = 0.0
    """The lattice is turned by this, positive as np.rot90 [degree]; at 0 a zigzag row lies along x."""
    dose: Annotated[float, Field(gt=0, le=1e6)] = 1000.0
    """Electrons that meet the sample in one pattern, on average."""
    n_k: Annotated[int, Field(ge=4, le=1024)] = 32
    """Detector pixels along each side."""
    k_max: Annotated[float, Field(gt=0, le=90)] = 40.0
    """The detector reaches from -k_max to k_max [mrad]."""
    beam_energy: Annotated[float, Field(ge=20, le=300)] = 60.0
    """Beam energy [keV]."""
    convergence: Annotated[float, Field(gt=0, le=60)] = 30.0
    """Half angle of the probe's aperture [mrad]; there are no aberrations."""
    vibration: Annotated[float, Field(ge=0, le=0.05)] = 0.006
    """Root mean square displacement of an atom along one axis by heat, in the weak-phase model [nm]; the default is an estimate for room
    temperature. Multislice holds the atoms still."""
    relaxation: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.005
    """How much further from a defect its three neighbours lie than a bond [nm]; the default is an estimate, not the outcome of a calculation."""
    method: Literal["weak-phase", "multislice"] = "weak-phase"
    """How patterns are computed; multislice needs the extra `multislice` (abTEM) and takes ten times as long."""

    @model_validator(mode="after")
    def _detector_holds_the_disc(self) -> Self:
        if self.k_max <= self.convergence:
            raise ValueError(
                f"k_max {self.k_max:g} mrad must exceed convergence {self.convergence:g} mrad"
            )
        return self


class ImagingConfig(Config):
    """A series of HAADF-like images: frames, doses, and what the scan adds."""

    n_frames: Annotated[int, Field(ge=1, le=100000)] = 8
    """Frames of the series."""
    rows: Annotated[int, Field(ge=16, le=8192)] = 128
    """Lines of a frame."""
    columns: Annotated[int, Field(ge=16, le=8192)] = 128
    """Pixels of a line."""
    pixel_size: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Side of a pixel [nm]."""
    dose: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    """Mean counts in the middle of the lattice's faintest atom, without the background."""
    background: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    """Mean counts where there is no atom."""
    uneven: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Sd of the background from place to place, as a share of it; smooth, as dirt on the sample is."""
    uneven_length: Annotated[float, Field(gt=0.01, le=1000)] = 0.5
    """Correlation length of the uneven background [nm]."""
    atom_sd: Annotated[float, Field(gt=0.005, le=1)] = 0.04
    """Sd of the image of an atom [nm]."""
    drift: Annotated[float, Field(ge=0, le=20)] = 0.5
    """Way that the scan drifts over the sample during a frame, in one direction by chance [px]."""
    jitter: Annotated[float, Field(ge=0, le=5)] = 0.2
    """Sd of the place of a line along x [px]."""


class GrapheneMovieConfig(Config):
    """HAADF-like frames of graphene that changes under the beam, with truth."""

    imaging: ImagingConfig = ImagingConfig()
    angle: Angle = 0.0
    """The lattice is turned by this, positive as np.rot90 [degree]."""
    n_silicon: Annotated[int, Field(ge=0, le=10000)] = 3
    """Silicon atoms in the first frame."""
    hop: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Chance that a silicon atom changes places with a neighbour between two frames."""
    loss: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Chance that a carbon atom is lost between two frames."""
    disorder: Annotated[float, Field(ge=0, le=0.1)] = 0.002
    """Sd along each axis of what a frame moves an atom by; it adds up from frame to frame [nm]."""


class AtomFramesConfig(Config):
    """HAADF-like frames of a lattice with vacancies, foreign atoms and disorder, with truth."""

    imaging: ImagingConfig = ImagingConfig(
        n_frames=1, rows=512, columns=512, atom_sd=0.07, jitter=0.2
    )
    lattice: Literal["square", "hexagonal", "honeycomb"] = "hexagonal"
    """Arrangement of the sites; the two neighbours of a honeycomb are its sublattices."""
    spacing: Annotated[float, Field(gt=0.05, le=5)] = 0.37
    """Distance of neighbouring sites [nm]."""
    elements: Annotated[tuple[Element, ...], Field(min_length=1, max_length=2)] = ("Mo",)
    """Element of every sublattice; S2 is a column of two."""
    angle: Angle = 0.0
    """The lattice is turned by this, positive as np.rot90 [degree]."""
    disorder: Annotated[float, Field(ge=0, le=0.1)] = 0.005
    """Sd of the atoms' places about their sites along each axis [nm]."""
    vacancies: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of sites without an atom."""
    dopant: Element = "W"
    """Element of the foreign atoms."""
    doped: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of sites with a foreign atom."""

    @model_validator(mode="after")
    def _sublattices_have_elements(self) -> Self:
        if len(self.elements) > 1 and self.lattice != "honeycomb":
            raise ValueError(
                f"elements {', '.join(self.elements)} are two, and a {self.lattice} lattice has one sublattice"
            )
        return self


class LatticeConfig(Config):
    """HAADF-like frames of a perovskite whose B atoms move across a ferroelectric wall, with truth."""

    imaging: ImagingConfig = ImagingConfig(n_frames=1, rows=256, columns=256, atom_sd=0.06)
    cell: Annotated[float, Field(gt=0.1, le=5)] = 0.396
    """Side of the square cell [nm]: bismuth at its corners, iron in its middle. Source: pseudocubic BiFeO3, Kubel & Schmid 1990,
    doi:10.1107/S0108768190006887."""
    angle: Angle = 0.0
    """The lattice is turned by this, positive as np.rot90 [degree]."""
    displacement: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Displacement of iron far from the wall [nm]; its sign changes across the wall. The default is an estimate."""
    displacement_angle: Angle = 45.0
    """Direction of the displacement, from the x axis towards -y [degree]."""
    wall_angle: Angle = 90.0
    """Direction of the wall through the middle of the frame, from the x axis towards -y [degree]."""
    wall_width: Annotated[float, Field(gt=0, le=100)] = 0.6
    """Distance from the wall at which the displacement is tanh(1) of its bulk value [nm]; the default is an estimate."""
