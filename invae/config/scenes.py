"""Simulated electron microscopy: what lies under the beam, how it is scanned, and with how many electrons."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config

Angle = Annotated[float, Field(ge=-360, le=360)]


class GrapheneConfig(Config):
    """A 4D-STEM scan of graphene as a weak phase object, with truth."""

    structure: Literal["perfect", "vacancy", "silicon"] = "vacancy"
    """What the atom nearest the middle of the scan is: carbon, missing, or silicon."""
    n_scan_y: Annotated[int, Field(ge=1, le=4096)] = 32
    """Rows of probes."""
    n_scan_x: Annotated[int, Field(ge=1, le=4096)] = 32
    """Probes in a row."""
    scan_step: Annotated[float, Field(gt=0, le=10)] = 0.02
    """Distance of neighbouring probes [nm]."""
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
    carbon_potential: Annotated[float, Field(gt=0, le=2000)] = 210.0
    """Projected potential in the middle of a carbon atom [V Å]."""
    carbon_sd: Annotated[float, Field(ge=0.02, le=0.2)] = 0.03
    """Sd of the Gaussian potential of carbon [nm]."""
    silicon_potential: Annotated[float, Field(gt=0, le=2000)] = 340.0
    """Projected potential in the middle of a silicon atom [V Å]."""
    silicon_sd: Annotated[float, Field(ge=0.02, le=0.2)] = 0.04
    """Sd of the Gaussian potential of silicon [nm]."""

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
    """Mean counts in the middle of the lattice's lightest atom, without the background."""
    background: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    """Mean counts where there is no atom."""
    atom_sd: Annotated[float, Field(gt=0.005, le=1)] = 0.04
    """Sd of the image of an atom [nm]."""
    drift: Annotated[float, Field(ge=0, le=20)] = 0.5
    """Way that the scan drifts over the sample during a frame, in one direction by chance [px]."""
    jitter: Annotated[float, Field(ge=0, le=5)] = 0.2
    """Sd of the place of a line along x [px]."""


class AtomsConfig(Config):
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


class LatticeConfig(Config):
    """HAADF-like frames of a perovskite whose B atoms move across a ferroelectric wall, with truth."""

    imaging: ImagingConfig = ImagingConfig(n_frames=1, rows=256, columns=256, atom_sd=0.06)
    cell: Annotated[float, Field(gt=0.1, le=5)] = 0.396
    """Side of the square cell [nm]: bismuth at its corners, iron in its middle."""
    angle: Angle = 0.0
    """The lattice is turned by this, positive as np.rot90 [degree]."""
    displacement: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Displacement of iron far from the wall [nm]; its sign changes across the wall."""
    displacement_angle: Angle = 45.0
    """Direction of the displacement, from the x axis towards -y [degree]."""
    wall_angle: Angle = 90.0
    """Direction of the wall through the middle of the frame, from the x axis towards -y [degree]."""
    wall_width: Annotated[float, Field(gt=0, le=100)] = 0.6
    """Distance from the wall at which the displacement is tanh(1) of its bulk value [nm]."""
