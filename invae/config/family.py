"""Names of families, parsed letter by letter, and the list of all names.

A prefix adds latent variables to content and pose, letters name the poses: `jrtVAE` has classes (j), rotation (r) and shift (t). A pose
without a letter has its own family, `<option>VAE`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ValidatorFunctionWrapHandler, WrapValidator

from invae.config.choices import OneOf
from invae.latent_table import poses

PoseName = Annotated[str, OneOf(poses)]
"""A pose of the latent table."""
PoseInference = Literal["amortised", "exact", "refined"]


@dataclass(frozen=True)
class FamilyName:
    """The meaning of a family's name."""

    poses: tuple[str, ...] = ()
    """Poses by their names in the configuration."""
    classes: bool = False
    target: bool = False
    condition: bool = False
    deterministic: bool = False
    skip: bool = False
    pose_inference: PoseInference = "exact"


PREFIXES: Mapping[str, FamilyName] = {
    "": FamilyName(),
    "skip-": FamilyName(skip=True),
    "c": FamilyName(condition=True),
    "j": FamilyName(classes=True),
    "ss": FamilyName(classes=True),
    "ssreg": FamilyName(target=True),
}
"""Prefixes of the letters: skip connections, a condition, classes, classes with some labels, a partly known target."""


OTHER_NAMES = {
    "shift-VAE": "tVAE",
    "shiftVAE": "tVAE",
    "trVAE": "rtVAE",
    "jtrVAE": "jrtVAE",
    "sstrVAE": "ssrtVAE",
    "ctrVAE": "crtVAE",
}
"""Names used in the literature, and ours."""
YOUR_OWN = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
"""`module:NAME`, a family defined in your own code."""


def families() -> dict[str, FamilyName]:
    """Every family by its name, in the order of the list."""
    placed = {row.placed.option: row.placed for row in poses().values()}
    letters = {pose.letter: option for option, pose in placed.items() if pose.letter}
    affine = tuple(option for option, pose in placed.items() if pose.affine)
    lettered = {
        prefix: {
            f"{prefix}{''.join(word)}VAE": replace(meaning, poses=tuple(letters[k] for k in word))
            for count in range(len(letters) + 1)
            for word in combinations(letters, count)
        }
        for prefix, meaning in PREFIXES.items()
    }
    return {
        "AE": FamilyName(deterministic=True),
        **lettered.pop(""),
        **{
            f"{option}VAE": FamilyName((option,), pose_inference="amortised")
            for option, pose in placed.items()
            if not pose.letter
        },
        "affineVAE": FamilyName(affine),
        "AVAE": FamilyName(affine, pose_inference="refined"),
        **{name: meaning for group in lettered.values() for name, meaning in group.items()},
    }


def _our_name(family: Any) -> Any:
    return OTHER_NAMES.get(family, family) if isinstance(family, str) else family


def _family_of_your_own(family: Any, handler: ValidatorFunctionWrapHandler) -> str:
    return family if isinstance(family, str) and YOUR_OWN.match(family) else handler(family)


Family = Annotated[
    str, OneOf(families), WrapValidator(_family_of_your_own), BeforeValidator(_our_name)
]
"""Name of a family: one of `families()`, or `module:NAME`."""
