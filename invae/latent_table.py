"""The latent variables: one row each. Configuration, models, embedding, analysis, results and report use this table.

A new pose is a class in `invae/models/geometry/pose.py`, named in its `POSES`, and one row here. Nothing here imports torch or xarray,
since the configuration reads the table too.
"""

import math
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Literal

from invae import dims

Head = Literal["content", "class", "target", "position", "direction", "number"]
"""How an encoder infers a latent: a position and a direction are read from vectors that turn with the patch."""
Prior = Literal["normal", "circle", "classes"]
Uncertainty = Literal["sd", "resultant", "probability"]
Measure = Literal["plain", "logarithm", "half side"]
"""Relation of the model's value to the reported one: equal, its logarithm, or in units of half the patch's longer side."""
Widening = Callable[[float, float | None], float]
"""From the extent of the pattern [1, of the frame] and the sd of the prior to the extent under the pose."""

REAL = (-math.inf, math.inf)


def _unchanged(extent: float, sd: float | None) -> float:
    return extent


@dataclass(frozen=True)
class PoseRow:
    """Properties of a latent that is a pose."""

    option: str
    """Name in `poses` of the configuration."""
    section: str | None = None
    """Section of the model's configuration with its `prior_sd`; without one, the sd is set in `pose_priors`."""
    prior_sd: float = 0.2
    """Sd of the prior if no section has it, in the model's unit."""
    letter: str = ""
    """Letter in names of families; a pose without one has its own family, `<option>VAE`."""
    affine: bool = False
    """Whether affineVAE and AVAE infer it."""
    longest_step: float = 0.2
    """Longest Gauss-Newton step along each component, in the model's unit: slopes are valid only near the current pose."""
    widened: Widening = _unchanged
    """Extent of the surroundings that the pose brings into the frame within two sds of its prior."""


@dataclass(frozen=True)
class Latent:
    """One latent variable."""

    name: str
    """Name in every Dataset, and inside the models."""
    label: str
    """`long_name` in every Dataset."""
    symbol: str
    unit: str = "1"
    """Unit of the reported value; as in `dims.attrs`."""
    dim: str | None = None
    """Dimension in addition to the site; None for one number per site."""
    size: int | None = 1
    """Numbers per site; None if it depends on the configuration."""
    interval: tuple[float, float] = REAL
    """Range of reported values."""
    measure: Measure = "plain"
    head: Head | None = "number"
    """None for a given variable, which is not inferred."""
    prior: Prior | None = "normal"
    uncertainty: Uncertainty | None = "sd"
    uncertainty_label: str = ""
    pose: PoseRow | None = None
    colours: Literal["linear", "cyclic"] | None = None
    """Colour scale of sites in the report's latent plane; None for no such figure."""
    mapped: bool = False
    """Whether scans and grids of sites have a map of it."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of its variable."""
        return (dims.SITE,) if self.dim is None else (dims.SITE, self.dim)

    @property
    def reads_vector(self) -> bool:
        """Whether an encoder reads it from a vector that turns with the patch."""
        return self.head in ("position", "direction")

    @property
    def placed(self) -> PoseRow:
        """Its properties as a pose.

        Raises:
            LookupError: It is no pose.
        """
        if self.pose is None:
            raise LookupError(f"{self.name} is no pose")
        return self.pose

    @property
    def at_rest(self) -> float:
        """The reported value without effect on the pattern."""
        return 1.0 if self.measure == "logarithm" else 0.0

    @property
    def uncertainty_name(self) -> str | None:
        """Name of the variable of its uncertainty."""
        return None if self.uncertainty is None else f"{self.name}_{self.uncertainty}"

    @property
    def uncertainty_dims(self) -> tuple[str, ...]:
        """Dimensions of that variable."""
        return (dims.SITE, self.name) if self.uncertainty == "probability" else self.dims

    @property
    def uncertainty_unit(self) -> str:
        """Unit of that variable: an sd is in the latent's unit, or in that of its logarithm."""
        return self.unit if self.uncertainty == "sd" else "1"


_ROWS = (
    Latent(
        "content",
        label="content: what the patch shows",
        symbol="z",
        dim=dims.LATENT,
        size=None,
        head="content",
        uncertainty_label="standard deviation of the content",
    ),
    Latent(
        "angle",
        label="angle of the pattern, positive as np.rot90",
        symbol="θ",
        unit="rad",
        interval=(-math.pi, math.pi),
        head="direction",
        prior="circle",
        uncertainty="resultant",
        uncertainty_label="certainty of the angle: 1 is one sharp peak, 0 none or several",
        pose=PoseRow(
            "rotation",
            section="rotation",
            letter="r",
            affine=True,
            longest_step=0.35,
            widened=lambda extent, sd: extent * math.sqrt(2),
        ),
        colours="cyclic",
        mapped=True,
    ),
    Latent(
        "shift",
        label="position of the pattern's centre in the patch",
        symbol="t",
        unit="pixel",
        dim=dims.AXIS,
        size=2,
        measure="half side",
        head="position",
        uncertainty_label="standard deviation of the shift",
        pose=PoseRow("shift", section="translation", letter="t", affine=True, longest_step=0.15),
    ),
    Latent(
        "scale",
        label="magnification of the pattern",
        symbol="s",
        interval=(0.0, math.inf),
        measure="logarithm",
        uncertainty_label="standard deviation of the magnification's logarithm",
        pose=PoseRow(
            "scale",
            section="scaling",
            affine=True,
            widened=lambda extent, sd: extent * math.exp(2 * (sd or 0.0)),
        ),
        colours="linear",
        mapped=True,
    ),
    Latent(
        "shear",
        label="shear of the pattern before its turn; down leans to the right",
        symbol="φ",
        unit="rad",
        interval=(-math.pi / 2, math.pi / 2),
        uncertainty_label="standard deviation of the shear",
        pose=PoseRow(
            "shear",
            section="shearing",
            affine=True,
            longest_step=0.25,
            widened=lambda extent, sd: extent + math.tan(min(2 * (sd or 0.0), 1.0)),
        ),
        colours="linear",
        mapped=True,
    ),
    Latent(
        "class",
        label="most probable class",
        symbol="k",
        size=None,
        interval=(0, math.inf),
        head="class",
        prior="classes",
        uncertainty="probability",
        uncertainty_label="probability of each class",
    ),
    Latent(
        "target",
        label="inferred values of the target variables",
        symbol="y",
        dim=dims.VARIABLE,
        size=None,
        head="target",
        uncertainty_label="standard deviation of the target",
        colours="linear",
    ),
    Latent(
        "condition",
        label="variables given with every patch",
        symbol="c",
        dim="condition_name",
        size=None,
        head=None,
        prior=None,
        uncertainty=None,
    ),
)

LATENTS: dict[str, Latent] = {row.name: row for row in _ROWS}
"""Every latent by its name, in the order of tables and figures."""


def row_of(name: str) -> Latent:
    """The row of a latent; for a user's own pose, which has no row, that of a plain number.

    Further discrete latents (`class_2`, …) have the row of the first one under their own names. So do latents of one of several
    signals (`image.content`), with their own dimensions.
    """
    if name in LATENTS:
        return LATENTS[name]
    signal, _, plain = name.rpartition(".")
    if signal:
        row = row_of(plain)
        return replace(row, name=name, dim=None if row.dim is None else f"{signal}.{row.dim}")
    if name.startswith(f"{dims.CLASS}_"):
        return replace(LATENTS[dims.CLASS], name=name)
    return Latent(
        name,
        label=f"{name} of the pattern",
        symbol=name,
        uncertainty_label=f"standard deviation of the {name}",
        pose=PoseRow(name),
        colours="linear",
        mapped=True,
    )


def variable_of(name: str) -> tuple[tuple[str, ...], dict[str, object]]:
    """Dimensions and attributes of the variable of a latent, or of its uncertainty."""
    ending = next((e for e in ("sd", "resultant", "probability") if name.endswith(f"_{e}")), None)
    row = row_of(name if ending is None else name.removesuffix(f"_{ending}"))
    if ending is None:
        return row.dims, dims.attrs(row.label, row.unit)
    return row.uncertainty_dims, dims.attrs(row.uncertainty_label, row.uncertainty_unit)


def poses() -> dict[str, Latent]:
    """The poses, by their names in the configuration."""
    return {row.pose.option: row for row in LATENTS.values() if row.pose is not None}


def plain_numbers(names: Container[object]) -> list[str]:
    """The names that belong to inferred latents with plain numbers as values, neither angles nor classes."""
    rows = (row for row in LATENTS.values() if row.head is not None and row.prior == "normal")
    return [row.name for row in rows if row.name in names]
