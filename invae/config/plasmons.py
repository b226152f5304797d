"""Settings of simulated plasmonic nanoparticles: particles, probes, spectra and images."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from invae.config.schema import Config

LARGEST_IN_CLUSTER = 1.2
"""Radius of the largest particle of a cluster, relative to the mean."""

Noise = Annotated[float, Field(ge=0, le=10)]


class AssemblyConfig(Config):
    """Hexagonal assemblies of particles with vacancies: a survey image of each, and energy-loss spectra at many probes."""

    kind: Literal["assembly"] = "assembly"
    n_assemblies: Annotated[int, Field(ge=1, le=100000)] = 16
    """Number of assemblies; each is a specimen with an image of its own."""
    material: Literal["one", "two", "two-visible"] = "one"
    """Plasma energy of the particles: 2.1 eV (one); 1.7 or 2.1 eV at random, equally bright in the image (two); the same, but those
    of 2.1 eV are 1.3 times as bright (two-visible). Positions and radii do not depend on it."""
    extent: Annotated[float, Field(gt=0, le=2000)] = 210.0
    """Side of the square that holds the centres of the particles [nm]."""
    pitch: Annotated[float, Field(gt=0, le=200)] = 24.0
    """Distance of neighbouring sites of the lattice [nm]."""
    jitter: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Sd of the displacement of a particle from its site along each axis [nm]."""
    gap: Annotated[float, Field(ge=0.5, le=50)] = 2.0
    """Smallest gap between two particles [nm]; closer ones are made smaller."""
    fill: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        0.45,
        0.95,
    )
    """Smallest and largest mean fraction of occupied sites; uniformly distributed over assemblies. Within one it varies smoothly."""
    n_probes: Annotated[int, Field(ge=1, le=1000000)] = 64
    """Number of probes on an assembly, at random positions."""
    grid: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Rows and columns of a regular grid of probes (a map of spectra) in place of random ones."""
    reach: Annotated[float, Field(gt=0, le=1000)] = 62.0
    """Largest distance of a probe from the centre of the image along each axis [nm]."""
    beam_energy: Annotated[float, Field(ge=20, le=300)] = 100.0
    """Beam energy [keV]."""
    n_energies: Annotated[int, Field(ge=2, le=4096)] = 64
    """Number of energies of a spectrum."""
    pixels: Annotated[int, Field(ge=8, le=4096)] = 100
    """Pixels along each side of a survey image."""
    image_noise: Noise = 0.03
    """Sd of the noise of the image; the centre of a particle of mean size has the value 1."""
    spectrum_noise: Noise = 0.03
    """Sd of the noise of spectra, relative to the 99th percentile of the noise-free spectra of the assembly."""

    @property
    def n_frames(self) -> int:
        """Number of images."""
        return self.n_assemblies

    @property
    def n_points(self) -> int:
        """Number of spectra of an image."""
        return self.n_probes if self.grid is None else self.grid**2

    @model_validator(mode="after")
    def _fill_rises(self) -> Self:
        if self.fill[0] > self.fill[1]:
            raise ValueError(
                f"fill runs from {self.fill[0]:g} to {self.fill[1]:g}; give the smaller value first"
            )
        return self


class ClustersConfig(Config):
    """Clusters of a few close particles: an image and the extinction spectrum of each."""

    kind: Literal["clusters"] = "clusters"
    n_clusters: Annotated[int, Field(ge=1, le=1000000)] = 400
    """Number of clusters; each is a specimen with an image of its own."""
    max_particles: Annotated[int, Field(ge=1, le=8)] = 4
    """Largest number of particles of a cluster; all numbers from 1 are equally probable."""
    material: Literal["fixed", "spread"] = "fixed"
    """Plasma energy: 2.1 eV (fixed), or one value for each cluster, normally distributed about 2.1 eV (spread)."""
    material_sd: Annotated[float, Field(ge=0, le=0.3)] = 0.03
    """Sd of the plasma energy of spread materials [eV]."""
    gap: tuple[Annotated[float, Field(ge=0.5, le=50)], Annotated[float, Field(ge=0.5, le=50)]] = (
        2.0,
        6.0,
    )
    """Smallest and largest gap between a particle and the one to which it is attached [nm]; uniformly distributed between them."""
    spectra: Literal["absolute", "normalised"] = "normalised"
    """Extinction cross-sections [nm²], or each spectrum divided by its maximum."""
    n_energies: Annotated[int, Field(ge=2, le=4096)] = 128
    """Number of energies of a spectrum."""
    pixels: Annotated[int, Field(ge=8, le=1024)] = 48
    """Pixels along each side of an image."""
    image_noise: Noise = 0.05
    """Sd of the noise of the image; the centre of a particle of mean size has the value 1."""
    spectrum_noise: Noise = 0.02
    """Sd of the noise of spectra: of normalised ones relative to their maximum, of absolute ones relative to the largest extinction of
    `max_particles` separate particles."""

    @property
    def n_frames(self) -> int:
        """Number of images."""
        return self.n_clusters

    @property
    def n_points(self) -> int:
        """Number of spectra of an image."""
        return 1

    @model_validator(mode="after")
    def _gap_rises(self) -> Self:
        if self.gap[0] > self.gap[1]:
            raise ValueError(
                f"gap runs from {self.gap[0]:g} to {self.gap[1]:g}; give the smaller value first"
            )
        return self


class PlasmonsConfig(Config):
    """Images and spectra of plasmonic nanoparticles, with ground truth."""

    sample: Annotated[AssemblyConfig | ClustersConfig, Field(discriminator="kind")] = (
        AssemblyConfig()
    )
    """Assemblies with many energy-loss spectra each, or clusters with one extinction spectrum each."""
    radius: Annotated[float, Field(gt=1, le=20)] = 10.0
    """Mean radius of a particle [nm]; larger spheres are no point dipoles."""
    radius_sd: Annotated[float, Field(ge=0, le=5)] = 0.6
    """Sd of the radius [nm]."""
    energies: tuple[
        Annotated[float, Field(ge=0.05, le=10)], Annotated[float, Field(ge=0.05, le=10)]
    ] = (0.4, 1.2)
    """First and last energy of a spectrum [eV]."""
    pixel_size: Annotated[float, Field(gt=0, le=50)] = 2.5
    """Side of a pixel [nm]."""

    @field_validator("sample", mode="before")
    @classmethod
    def _is_an_assembly_by_default(cls, values: Any) -> Any:
        return {"kind": "assembly", **values} if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _energies_rise(self) -> Self:
        first, last = self.energies
        if first >= last:
            raise ValueError(f"energies run from {first:g} to {last:g} eV; they must rise")
        return self

    @model_validator(mode="after")
    def _particles_fit(self) -> Self:
        field, sample = self.pixel_size * self.sample.pixels, self.sample
        if isinstance(sample, AssemblyConfig):
            if sample.pitch < 2 * self.radius + sample.gap:
                raise ValueError(
                    f"pitch {sample.pitch:g} nm is too small for particles of radius {self.radius:g} nm "
                    f"with gaps of {sample.gap:g} nm; it must be at least {2 * self.radius + sample.gap:g} nm"
                )
            if 2 * sample.reach > field:
                raise ValueError(
                    f"reach {sample.reach:g} nm lies outside the image of {field:g} nm; "
                    "set fewer nm or more pixels"
                )
            return self
        n = sample.max_particles
        length = 2 * n * LARGEST_IN_CLUSTER * self.radius + (n - 1) * sample.gap[1]
        if length > field:
            raise ValueError(
                f"a row of {n} particles can be {length:g} nm long, the image is {field:g} nm wide; "
                "set more pixels"
            )
        return self
