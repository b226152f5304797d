"""The latent variables: one row each. Configuration, models, embedding, analysis, results and report ask this table.

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
"""What the model's own number is of the reported one: the same, its logarithm, or a fraction of half the patch's longer side."""
Widening = Callable[[float, float | None], float]
"""The largest extent of the pattern [1, of the frame] and the sd of the prior become the extent under the pose."""

REAL = (-math.inf, math.inf)


def _unchanged(extent: float, sd: float | None) -> float:
    return extent


@dataclass(frozen=True)
class PoseRow:
    """What the table says of a latent that places the pattern."""

    option: str
    """Name in `poses` of the configuration."""
    section: str | None = None
    """Section of the model's configuration with its `prior_sd`; without one, the sd is set in `pose_priors`."""
    prior_sd: float = 0.2
    """Sd of the prior where no section holds it, in the model's own unit."""
    letter: str = ""
    """In names of families; a pose without a letter has a family of its own, `<option>VAE`."""
    affine: bool = False
    """Whether affineVAE and AVAE infer it."""
    longest_step: float = 0.2
    """Longest Gauss-Newton step along each number, in the model's own unit: farther away, slopes say nothing."""
    widened: Widening = _unchanged
    """How much of the surroundings the pose brings into the frame within two sds of its prior."""


@dataclass(frozen=True)
class Latent:
    """One latent variable."""

    name: str
    """In every Dataset, and inside the models."""
    label: str
    """`long_name` in every Dataset."""
    symbol: str
    unit: str = "1"
    """As reported; units as in `dims.attrs`."""
    dim: str | None = None
    """Dimension beside the site; none for one number per site."""
    size: int | None = 1
    """Numbers per site; none where the configuration decides."""
    interval: tuple[float, float] = REAL
    """Reported values lie in it."""
    measure: Measure = "plain"
    head: Head | None = "number"
    """None for a variable that is given, not inferred."""
    prior: Prior | None = "normal"
    uncertainty: Uncertainty | None = "sd"
    uncertainty_label: str = ""
    pose: PoseRow | None = None
    colours: Literal["linear", "cyclic"] | None = None
    """How the report colours sites by it in the latent plane; not at all when empty."""
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
        """What the table says of it as a pose.

        Raises:
            LookupError: It places no pattern.
        """
        if self.pose is None:
            raise LookupError(f"{self.name} is no pose")
        return self.pose

    @property
    def at_rest(self) -> float:
        """The reported value that leaves the pattern as it is."""
        return 1.0 if self.measure == "logarithm" else 0.0

    @property
    def uncertainty_name(self) -> str | None:
        """Variable that says how certain it is."""
        return None if self.uncertainty is None else f"{self.name}_{self.uncertainty}"

    @property
    def uncertainty_dims(self) -> tuple[str, ...]:
        """Dimensions of that variable."""
        return (dims.SITE, self.name) if self.uncertainty == "probability" else self.dims

    @property
    def uncertainty_unit(self) -> str:
        """Unit of that variable: an sd is in the latent's own unit, or in that of its logarithm."""
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
"""Every latent by its name, in the order in which tables and pictures show them."""


def row_of(name: str) -> Latent:
    """The row of a latent; a plain number for a pose of one's own, which has none.

    Discrete latents beyond the first (`class_2`, …) have the first one's row under their own names, and so have latents of one of several
    signals (`image.content`), with dimensions of their own.
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
    """Dimensions and attributes of the variable of a latent, or of the one that says how certain it is."""
    ending = next((e for e in ("sd", "resultant", "probability") if name.endswith(f"_{e}")), None)
    row = row_of(name if ending is None else name.removesuffix(f"_{ending}"))
    if ending is None:
        return row.dims, dims.attrs(row.label, row.unit)
    return row.uncertainty_dims, dims.attrs(row.uncertainty_label, row.uncertainty_unit)


def poses() -> dict[str, Latent]:
    """The latents that place the pattern, by their names in the configuration."""
    return {row.pose.option: row for row in LATENTS.values() if row.pose is not None}


def plain_numbers(names: Container[object]) -> list[str]:
    """Those of some variables that are inferred latents with plain numbers as values, neither angles nor classes."""
    rows = (row for row in LATENTS.values() if row.head is not None and row.prior == "normal")
    return [row.name for row in rows if row.name in names]
