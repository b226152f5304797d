"""Families: a name determines the latent variables of a model.

`invae/config/family.py` defines the names. Any family may have other poses by configuration.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch

from invae.config.family import FamilyName, PoseInference, families
from invae.config.model import ModelConfig
from invae.errors import ConfigError
from invae.latent_table import LATENTS, Latent, poses, row_of
from invae.models.batch import Geometry
from invae.models.fields import Code
from invae.models.geometry.circle import CirclePrior
from invae.models.geometry.pose import POSES, Pose
from invae.models.latents import ClassPrior, NormalPrior, Prior


@dataclass(frozen=True)
class OwnPose:
    """A pose with one component that a family defines; an encoder infers it, with a Normal prior about 0."""

    pose: Pose
    prior_sd: float


@dataclass(frozen=True)
class Family(FamilyName):
    """The latent variables and options of a family: what a name can say, and poses that have no name."""

    own_poses: Mapping[str, OwnPose] = field(default_factory=dict)
    """Further poses by the name of their latent; they act on the upright pattern first."""


@dataclass(frozen=True)
class Plan:
    """The plan of a configuration: the latents of a model, and how each is inferred."""

    config: ModelConfig
    geometry: Geometry
    family: Family
    poses: tuple[str, ...]
    """Poses of the pattern, in reverse order of application."""
    inference: PoseInference
    classes: ClassPrior | None

    @property
    def exact(self) -> str | None:
        """The pose that is inferred exactly: the angle if there is one, or a shift without other poses."""
        if self.inference != "exact":
            return None
        if "angle" in self.poses:
            return "angle"
        return "shift" if self.poses == ("shift",) else None

    @property
    def searched(self) -> bool:
        """Whether the poses are inferred by a search."""
        return self.inference == "refined" and bool(self.poses)

    @property
    def enumerated(self) -> bool:
        """Whether all classes are evaluated for every patch."""
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
            sizes = {name: row_of(name).size or 1 for name in self.poses if name != self.exact}
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
        present = {*self.poses, *self.encoded, "class"}
        rows = [row for row in LATENTS.values() if row.name in present]
        rows += [row_of(name) for name in self.family.own_poses]
        return {row.name: prior for row in rows if (prior := self._prior(row)) is not None}

    def prior_sd(self, pose: str) -> float | None:
        """Sd of a pose's prior, in the model's own unit; None is uniform over the circle."""
        own = self.family.own_poses
        return (
            own[pose].prior_sd if pose in own else self.config.prior_sd(row_of(pose).placed.option)
        )

    def normal_sd(self, pose: str) -> float:
        """Sd of the prior of a pose that has a Normal one, in the model's own unit."""
        sd = self.prior_sd(pose)
        assert sd is not None, f"{pose} has a Normal prior and no sd in the latent table"
        return sd

    def _prior(self, row: Latent) -> Prior | None:
        match row.prior:
            case "circle":
                return CirclePrior(self.prior_sd(row.name))
            case "classes":
                return self.classes
            case "normal" if row.pose is not None:
                return NormalPrior(self.normal_sd(row.name))
            case "normal":
                return NormalPrior()
            case _:
                return None


def family_of(name: str) -> Family:
    """The family of a name: one of `families()`, or `module:NAME` of an imported module.

    Nothing is imported here: a saved model must not run code that nobody asked for.

    Raises:
        ConfigError: There is no such family.
    """
    if (built_in := families().get(name)) is not None:
        return Family(**asdict(built_in))
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        raise ConfigError(
            f"family {name!r} is of a module that is not imported; import {module} first"
        )
    family = getattr(sys.modules[module], attribute, None)
    if not isinstance(family, Family):
        raise ConfigError(f"{module} has no family {attribute!r}; give it a `Family` of that name")
    return family


def plan(config: ModelConfig, geometry: Geometry) -> Plan:
    """The latents of a configuration for patches of a shape.

    Raises:
        ConfigError: An option does not go with the family, or one that it needs is missing.
    """
    family = family_of(config.family)
    named = family.poses if config.poses is None else config.poses
    wanted = [poses()[option].name for option in named]
    placing = tuple(name for name in POSES if name in wanted) + tuple(family.own_poses)
    refuse_idle(config)
    _refuse_missing(config, family)
    inference = config.pose_inference or family.pose_inference
    classes = ClassPrior(config.n_classes) if family.classes else None
    made = Plan(config, geometry, family, placing, inference, classes)
    if config.masks_foreign and "angle" not in placing:
        raise ConfigError(
            f"likelihood.foreign 'mask' compares pixels at the same distance from the centre, and {config.family} has no "
            "rotation; choose a family with r, such as rVAE, or set it to 'keep'"
        )
    if config.pose_inference is not None and not placing:
        raise ConfigError(f"{config.family} has no pose to infer; leave pose_inference out")
    if made.searched and family.own_poses:
        raise ConfigError(
            f"{' and '.join(family.own_poses)} of {config.family} cannot be searched for; "
            "choose 'exact' or 'amortised'"
        )
    if config.pose_inference == "exact" and made.exact is None:
        raise ConfigError(
            f"{' and '.join(placing)} of {config.family} cannot be inferred exactly: only all angles, or all "
            "shifts where nothing else moves, can be tried at once; choose 'amortised' or 'refined'"
        )
    return made


def completed(
    config: ModelConfig, *, n_classes: int, n_targets: int, n_conditions: int
) -> ModelConfig:
    """A configuration completed with the numbers from the annotations."""
    family = family_of(config.family)
    changes: dict[str, object] = {}
    if family.classes and not config.n_classes and n_classes > 1:
        changes["n_classes"] = (n_classes,)
    if family.target and not config.n_targets:
        changes["n_targets"] = n_targets
    if family.condition and not config.n_conditions:
        changes["n_conditions"] = n_conditions
    return config.model_copy(update=changes)


def refuse_idle(config: ModelConfig) -> None:
    """Refuse numbers of classes, targets and conditions that the family does not use.

    Raises:
        ConfigError: One is given.
    """
    for option, (wanted, given) in _numbers(config, family_of(config.family)).items():
        if given and not wanted:
            raise ConfigError(f"{config.family} takes no {option} (given {given}); leave it out")


def refuse_turns_of_lines(config: ModelConfig, geometry: Geometry) -> None:
    """Refuse families that turn or shear patches of one row or column: a spectrum has no angle.

    Raises:
        ConfigError: The family has such a pose.
    """
    if min(geometry.height, geometry.width) > 1:
        return
    named = family_of(config.family).poses if config.poses is None else config.poses
    if turns := [name for name in named if not _moves_along_a_row(name)]:
        raise ConfigError(
            f"{config.family} has the pose {' and '.join(turns)}, but patches of one row, such as spectra, have no angle: "
            "choose VAE, or tVAE for shifts along the axis"
        )


def _moves_along_a_row(option: str) -> bool:
    """Whether a pose, by its name in configurations, moves the points of a row along it: a shift or a magnification."""
    row = poses()[option]
    places = torch.tensor([[[0.0, -1.0], [0.0, 1.0]]])
    moved = POSES[row.name].pull_back(places, torch.full((1, row.size or 0), 0.3))
    y, x = moved.unbind(-1)
    return bool((y - y[:, :1]).abs().max() < 1e-6 and (x - places[..., 1]).abs().max() > 1e-6)


def _refuse_missing(config: ModelConfig, family: Family) -> None:
    for option, (wanted, given) in _numbers(config, family).items():
        if wanted and not given:
            raise ConfigError(
                f"{config.family} needs {option}; give it, or the values with the patches"
            )


def _numbers(config: ModelConfig, family: Family) -> dict[str, tuple[bool, int]]:
    """For each option: whether the family needs it, and the given number."""
    return {
        "n_classes": (family.classes, math.prod(config.n_classes) if config.n_classes else 0),
        "n_targets": (family.target, config.n_targets),
        "n_conditions": (family.condition, config.n_conditions),
    }
