"""Families: a name says which latents there are; `arrangements` puts the parts together for them.

Letters before VAE: r rotation, t shift, j classes, ss classes with some labels, ssreg a variable known for some patches,
c condition. Any family may be given other poses.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from invae.config import model as parts
from invae.config.model import ModelConfig
from invae.errors import ConfigError
from invae.models.batch import Geometry
from invae.models.fields import Code
from invae.models.geometry.circle import CirclePrior
from invae.models.geometry.pose import POSES, Pose
from invae.models.latents import ClassPrior, NormalPrior, Prior


@dataclass(frozen=True)
class OwnPose:
    """A pose of one number that a family brings along; an encoder infers it, under a Normal prior about 0."""

    pose: Pose
    prior_sd: float


@dataclass(frozen=True)
class Family:
    """What a family's name says."""

    poses: tuple[parts.PoseName, ...] = ()
    classes: bool = False
    target: bool = False
    condition: bool = False
    deterministic: bool = False
    skip: bool = False
    pose_inference: parts.PoseInference = "exact"
    own_poses: Mapping[str, OwnPose] = field(default_factory=dict)
    """Further poses by the name of their latent; they act on the upright pattern first."""


Poses = tuple[parts.PoseName, ...]
R: Poses = ("rotation",)
T: Poses = ("shift",)
RT: Poses = ("shift", "rotation")
ALL: Poses = ("shift", "rotation", "scale", "shear")

FAMILIES: dict[parts.Family, Family] = {
    "AE": Family(deterministic=True),
    "VAE": Family(),
    "rVAE": Family(R),
    "tVAE": Family(T),
    "rtVAE": Family(RT),
    "scaleVAE": Family(("scale",), pose_inference="amortised"),
    "shearVAE": Family(("shear",), pose_inference="amortised"),
    "affineVAE": Family(ALL),
    "AVAE": Family(ALL, pose_inference="refined"),
    "skip-VAE": Family(skip=True),
    "skip-rVAE": Family(R, skip=True),
    "skip-tVAE": Family(T, skip=True),
    "skip-rtVAE": Family(RT, skip=True),
    "cVAE": Family(condition=True),
    "crVAE": Family(R, condition=True),
    "ctVAE": Family(T, condition=True),
    "crtVAE": Family(RT, condition=True),
    "jVAE": Family(classes=True),
    "jrVAE": Family(R, classes=True),
    "jtVAE": Family(T, classes=True),
    "jrtVAE": Family(RT, classes=True),
    "ssVAE": Family(classes=True),
    "ssrVAE": Family(R, classes=True),
    "sstVAE": Family(T, classes=True),
    "ssrtVAE": Family(RT, classes=True),
    "ssregVAE": Family(target=True),
    "ssregrVAE": Family(R, target=True),
    "ssregtVAE": Family(T, target=True),
    "ssregrtVAE": Family(RT, target=True),
}
LATENT_OF: Mapping[parts.PoseName, str] = {
    "shift": "shift",
    "rotation": "angle",
    "scale": "scale",
    "shear": "shear",
}
"""The latent of every pose, the pose applied to the pattern last first."""
SIZE = {"shift": 2, "angle": 1, "scale": 1, "shear": 1}
"""Numbers of every pose; one's own have one."""


@dataclass(frozen=True)
class Plan:
    """What a configuration comes to: the latents of a model, and how each is inferred."""

    config: ModelConfig
    geometry: Geometry
    family: Family
    poses: tuple[str, ...]
    """Latents that place the pattern, the one applied last first."""
    inference: parts.PoseInference
    classes: ClassPrior | None

    @property
    def exact(self) -> str | None:
        """The one pose inferred exactly: the angle if there is one, else a shift alone."""
        if self.inference != "exact":
            return None
        if "angle" in self.poses:
            return "angle"
        return "shift" if self.poses == ("shift",) else None

    @property
    def searched(self) -> bool:
        """Whether the poses are found by a search."""
        return self.inference == "refined" and bool(self.poses)

    @property
    def enumerated(self) -> bool:
        """Whether all classes are tried for every patch."""
        return self.classes is not None and self.config.class_inference == "exact"

    @property
    def code(self) -> Code:
        """The decoder's input."""
        return Code(
            self.config.latent_dim,
            n_states=0 if self.classes is None else self.classes.n_states,
            n_targets=self.config.n_targets,
            n_conditions=self.config.n_conditions,
        )

    @property
    def encoded(self) -> dict[str, int]:
        """Numbers drawn from encoders' posteriors, by latent; the content last."""
        if self.searched:
            sizes = {"search": self.config.search.n_angles} if "angle" in self.poses else {}
        else:
            sizes = {name: SIZE.get(name, 1) for name in self.poses if name != self.exact}
        if self.classes is not None and not self.enumerated:
            sizes["class"] = self.classes.n_states
        if self.config.n_targets:
            sizes["target"] = self.config.n_targets
        return {**sizes, "content": self.config.latent_dim}

    @property
    def maps(self) -> dict[str, Pose]:
        """What every pose does to the grid, the one applied last first."""
        own = {name: brought.pose for name, brought in self.family.own_poses.items()}
        return {name: {**POSES, **own}[name] for name in self.poses}

    @property
    def priors(self) -> dict[str, Prior]:
        """Of every latent."""
        config = self.config
        priors: dict[str, Prior] = {
            "content": NormalPrior(),
            "target": NormalPrior(),
            "shift": NormalPrior(config.translation.prior_sd),
            "angle": CirclePrior(config.rotation.prior_sd),
            "scale": NormalPrior(config.scaling.prior_sd),
            "shear": NormalPrior(config.shearing.prior_sd),
        }
        if self.classes is not None:
            priors["class"] = self.classes
        own = self.family.own_poses
        priors |= {name: NormalPrior(brought.prior_sd) for name, brought in own.items()}
        present = {*self.poses, *self.encoded, "class"}
        return {name: prior for name, prior in priors.items() if name in present}


def family_of(name: str) -> Family:
    """What a name says: one of `FAMILIES`, or `module:NAME` of a module that has been imported.

    Nothing is imported here: a saved model must not run code that nobody asked for.

    Raises:
        ConfigError: There is no such family.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        raise ConfigError(
            f"family {name!r} is of a module that is not imported; import {module} first"
        )
    found = getattr(sys.modules[module], attribute, None)
    if not isinstance(found, Family):
        raise ConfigError(f"{module} has no family {attribute!r}; give it a `Family` of that name")
    return found


def plan(config: ModelConfig, geometry: Geometry) -> Plan:
    """The latents of a configuration for patches of a shape.

    Raises:
        ConfigError: An option does not go with the family, or one that it needs is missing.
    """
    family = family_of(config.family)
    named = family.poses if config.poses is None else config.poses
    poses = tuple(latent for name, latent in LATENT_OF.items() if name in named)
    poses += tuple(family.own_poses)
    refuse_idle(config)
    _refuse_missing(config, family)
    inference = config.pose_inference or family.pose_inference
    classes = ClassPrior(config.n_classes) if family.classes else None
    made = Plan(config, geometry, family, poses, inference, classes)
    if config.pose_inference is not None and not poses:
        raise ConfigError(f"{config.family} has no pose to infer; leave pose_inference out")
    if made.searched and family.own_poses:
        raise ConfigError(
            f"{' and '.join(family.own_poses)} of {config.family} cannot be searched for; "
            "choose 'exact' or 'amortised'"
        )
    if config.pose_inference == "exact" and made.exact is None:
        raise ConfigError(
            f"{' and '.join(poses)} of {config.family} cannot be inferred exactly: only all angles, or all "
            "shifts where nothing else moves, can be tried at once; choose 'amortised' or 'refined'"
        )
    return made


def completed(
    config: ModelConfig, *, n_classes: int, n_targets: int, n_conditions: int
) -> ModelConfig:
    """A configuration with the numbers that it leaves to what is known beside the patches."""
    family = family_of(config.family)
    found: dict[str, object] = {}
    if family.classes and not config.n_classes and n_classes > 1:
        found["n_classes"] = (n_classes,)
    if family.target and not config.n_targets:
        found["n_targets"] = n_targets
    if family.condition and not config.n_conditions:
        found["n_conditions"] = n_conditions
    return config.model_copy(update=found)


def refuse_idle(config: ModelConfig) -> None:
    """Stop numbers of classes, targets and conditions that the family has no use for.

    Raises:
        ConfigError: One is given.
    """
    for option, (wanted, given) in _numbers(config, family_of(config.family)).items():
        if given and not wanted:
            raise ConfigError(f"{config.family} takes no {option} (given {given}); leave it out")


def _refuse_missing(config: ModelConfig, family: Family) -> None:
    for option, (wanted, given) in _numbers(config, family).items():
        if wanted and not given:
            raise ConfigError(
                f"{config.family} needs {option}; give it, or the values with the patches"
            )


def _numbers(config: ModelConfig, family: Family) -> dict[str, tuple[bool, int]]:
    """By option: whether the family needs it, and the number that is given."""
    return {
        "n_classes": (family.classes, math.prod(config.n_classes) if config.n_classes else 0),
        "n_targets": (family.target, config.n_targets),
        "n_conditions": (family.condition, config.n_conditions),
    }
