"""`Clustering`: images in, classes out, without labels; independent of rotation and shift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from invae.config import TrainingConfig
from invae.embedding import embed
from invae.errors import InputError
from invae.estimators.estimator import Estimator
from invae.estimators.inputs import in_order
from invae.estimators.invariant_vae import InvariantVAE
from invae.models.geometry.upright import upright
from invae.training.device import one_thread
from invae.training.initialisation import infers_free_angle
from invae.training.neighbour_classes import THOROUGH, NeighbourClasses, Search, neighbour_classes

if TYPE_CHECKING:
    import xarray as xr

LATENT_DIM = 8
SHIFT_SD = 0.12
"""Sd of the prior of the shift, in half the longer side."""
BATCH_SIZE, EPOCHS, STEPS = 128, 12, 600
"""Sites in a step, and least epochs and steps of the model that finds the poses."""
NAMES = ("site", "channel", "y", "x")
HELD_OUT = 0.05
"""Share of the images on which the epochs of that model are compared."""


class Clustering(Estimator):
    """Classes of images that are turned and shifted, without labels.

    A model with rotation and shift finds the pose of every image. The images are turned upright and centred, and a small network
    learns that an upright image and its nearest neighbours are of one class. The network also labels images that it has not seen.

    There are always as many classes as asked for, also where there are fewer kinds, and there is no verdict on them: look at
    images of every class.

    Source: the neighbours' loss of Van Gansbeke et al. 2020, arXiv:2005.12320, applied to upright images.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).normal(size=(60, 16, 16))
        >>> clustering = Clustering(n_classes=2, training={"epochs": 1}).fit(images[:40])
        >>> clustering.predict(images[40:])["class_probability"].dims
        ('site', 'class')
    """

    def __init__(
        self,
        n_classes: int = 10,
        *,
        seed: int = 0,
        model: InvariantVAE | None = None,
        training: TrainingConfig | Mapping[str, Any] | None = None,
        device: str = "auto",
        search: Search = THOROUGH,
        verbose: int = 1,
    ) -> None:
        """Choose the number of classes.

        Args:
            n_classes: Number of classes.
            seed: Of the model and of the networks.
            model: A fitted model, whose poses are used; a new one with rotation and shift is trained when empty.
            training: Of the new model; about 600 steps when empty.
            device: auto, cpu or cuda; of the new model.
            search: How many networks are trained, and how long.
            verbose: 1 shows the progress of the new model as a bar, in terminals and notebooks; 0 does not.

        Raises:
            InputError: There is a model and a training for it, or the model has seen no data.
        """
        if model is not None and training is not None:
            raise InputError("model is fitted and needs no training; give one of the two")
        if model is not None:
            _ = model.trained
        self.n_classes, self.seed, self.device, self.verbose = n_classes, seed, device, verbose
        self.model, self.training, self.search = model, training, search
        self._classes: NeighbourClasses | None = None

    @one_thread()
    def fit(self, images: np.ndarray | xr.DataArray) -> Clustering:
        """Learn the classes of images; returns the clustering itself.

        Args:
            images: (site, y, x) or (site, y, x, channel); a labelled array may have its axes in another order.

        Raises:
            InputError: The images have another shape, or are too few for the classes.
            TrainingDiverged: The loss became infinite or not a number.
        """
        patches = _patches(images)
        if self.n_classes < 2 or len(patches) < 2 * self.n_classes:
            raise InputError(
                f"{len(patches)} images cannot be divided among {self.n_classes} classes; at least 2 classes "
                "and twice as many images are needed"
            )
        if self.model is None:
            self.model = self._new_model(len(patches)).fit(patches, dims=NAMES)
        self._classes = neighbour_classes(
            upright_patches(self.model, patches),
            n_classes=self.n_classes,
            seed=self.seed,
            turns=infers_free_angle(self.model.trained.model),
            search=self.search,
        )
        return self

    @one_thread()
    def predict(self, images: np.ndarray | xr.DataArray) -> xr.Dataset:
        """`class (site,)` and `class_probability (site, class)` of images, seen before or not.

        Args:
            images: As in `fit`.

        Raises:
            InputError: Nothing has been fitted, or the images have another shape.
        """
        if self._classes is None or self.model is None:
            raise InputError("this clustering has seen no images; call fit first")
        probability = self._classes.probability(upright_patches(self.model, _patches(images)))
        values = {"class": probability.argmax(1).astype(np.int32), "class_probability": probability}
        return embed.dataset_of(values, coords={})

    @property
    def is_trained(self) -> bool:
        """Whether it has seen images."""
        return self._classes is not None

    def _new_model(self, n_images: int) -> InvariantVAE:
        """A model with rotation and shift, not yet trained."""
        n_steps = math.ceil(n_images / BATCH_SIZE)
        training = self.training or {
            "epochs": max(EPOCHS, math.ceil(STEPS / n_steps)),
            "batch_size": BATCH_SIZE,
            "held_out": HELD_OUT,
            "angle_start": "free",
        }
        return InvariantVAE(
            "rtVAE",
            latent_dim=LATENT_DIM,
            translation={"prior_sd": SHIFT_SD},
            seed=self.seed,
            verbose=self.verbose,
            training=training,
            device=self.device,
        )


def cluster(
    images: np.ndarray | xr.DataArray, n_classes: int = 10, *, seed: int = 0, **options: Any
) -> xr.Dataset:
    """`class (site,)` and `class_probability (site, class)` of images, without labels.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).normal(size=(40, 16, 16))
        >>> cluster(images, n_classes=2, training={"epochs": 1})["class"].dims
        ('site',)

    Args:
        images: (site, y, x) or (site, y, x, channel); a labelled array may have its axes in another order.
        n_classes: Number of classes.
        seed: Of the model and of the networks.
        **options: `model`, `training`, `device` and `search` of `Clustering`.

    Raises:
        InputError: The images have another shape or are too few, or there is a model and a training for it.
        TrainingDiverged: The loss became infinite or not a number.
    """
    return Clustering(n_classes, seed=seed, **options).fit(images).predict(images)


def upright_patches(model: InvariantVAE, patches: np.ndarray) -> np.ndarray:
    """Patches (site, channel, y, x) turned upright and centred by the poses that a model infers; NaN from outside."""
    latents = model.encode(patches, dims=NAMES)
    return upright(patches, {str(name): value.to_numpy() for name, value in latents.items()})


def _patches(images: np.ndarray | xr.DataArray) -> np.ndarray:
    """Images as (site, channel, y, x).

    Raises:
        InputError: They have another number of axes.
    """
    names = None if hasattr(images, "dims") else ("site", "y", "x", "channel")[: np.ndim(images)]
    if np.ndim(images) not in (3, 4):
        raise InputError(
            f"images have shape {np.shape(images)}; give (site, y, x) or (site, y, x, channel)"
        )
    values = np.asarray(in_order(images, names), dtype=np.float32)
    return values[:, None] if values.ndim == 3 else values
