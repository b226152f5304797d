"""The variables and groups of a result that belong to one kind of recording."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from invae import dims
from invae.latent_table import LATENTS

ANY_AXIS = "|".join(dims.SPECTRAL)
"""In place of the name of the axis of spectra, which is that of the recording."""


@dataclass(frozen=True)
class Field:
    """One variable of a group."""

    dims: tuple[str, ...]
    units: str | None = None
    """CF units; not checked when empty: flags, and variables in the recording's own units."""
    required: bool = False

    def fits(self, found: tuple[Hashable, ...]) -> bool:
        """Whether a variable with these dims is meant; a spectral axis may have any name."""
        return len(found) == len(self.dims) and all(
            own in (dim, ANY_AXIS) for own, dim in zip(self.dims, found, strict=True)
        )


@dataclass(frozen=True)
class Schema:
    """Additions of a kind of recording to the schema of every result."""

    sites: Mapping[str, Field] = field(default_factory=dict)
    """Variables of the root group, over `site`."""
    groups: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    required: tuple[str, ...] | None = None
    """Groups of every result of this kind, if it has nothing but the variables and groups here; those that all kinds share, and these
    in addition, when empty."""


PLAIN = Schema()
"""No additions."""


def pose_maps(where: tuple[str, ...]) -> dict[str, Field]:
    """Maps of the poses with one component."""
    return {f"{name}_map": Field(where, row.unit) for name, row in LATENTS.items() if row.mapped}


def of_site(units: str | None = None, *, required: bool = False) -> Field:
    """A variable with one value per site."""
    return Field((dims.SITE,), units, required)


def of_image(units: str | None = None, *, required: bool = False) -> Field:
    """A variable over the pixels of all frames."""
    return Field(dims.IMAGE, units, required)
