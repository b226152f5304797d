"""A trained model of pairs: its members, their weights, and what it knows of its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import InputError
from invae.models.batch import Geometry
from invae.models.pairs.build import SPECTRUM
from invae.models.pairs.pair_model import PairModel
from invae.models.signals import IMAGE
from invae.pairs.data import Pairs, SpectralAxis
from invae.pairs.designs import Designs
from invae.pairs.prediction import NORMAL_90, Predicted, mixed, of_network, of_process
from invae.regression.gaussian_process import GaussianProcess

History = Sequence[Mapping[str, Any]]
"""Epochs as JSON values."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions of pairs by members that have not seen them, and what follows from them."""

    mean: np.ndarray
    """(site, energy)"""
    sd: np.ndarray
    spectra: np.ndarray
    fold: np.ndarray
    """Part (site) with which a site was held out; empty for predicted images."""
    weight: float
    """Of the networks together; the rest is that of the Gaussian process."""
    scale: float
    """Factor of all intervals with which they hold their coverage on these pairs. Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116,
    section 2.2, with the residuals divided by their predicted sd."""
    n_epochs: int | None
    """Epochs after which the members were best."""
    histories: Sequence[History] = ()
    """Of the members with held-out pairs."""
    ranks: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    """Wrong candidates that are nearer than the partner (site, 2), among the pairs that were held out together: images of a spectrum, spectra
    of an image. Empty where the family has no common latent space."""
    contents: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 0), np.float32))
    """What image and spectrum say of the shared latent variables (site, 2, latent), by the network that has not seen the pair. Each part has
    a latent space of its own."""
    designs: Designs | None = None
    """Images made for held-out spectra (spec2im)."""

    @classmethod
    def nothing(cls, n_energies: int, n_epochs: int | None) -> "HeldOut":
        """No pair was held out to be predicted."""
        empty = np.zeros((0, n_energies), np.float32)
        return cls(empty, empty, empty, np.zeros(0, np.int32), 1.0, 1.0, n_epochs)


@dataclass(frozen=True)
class Fitted:
    """A trained model of pairs."""

    config: PairsModelConfig
    training: TrainingConfig
    seed: int
    networks: Sequence[PairModel]
    histories: Sequence[History]
    process: GaussianProcess | None
    axis: SpectralAxis
    units: str
    """Of the spectra."""
    patch: tuple[int, ...]
    """(channel, y, x)"""
    channels: tuple[str, ...]
    """Names of the channels; empty where unknown."""
    pixel_size_nm: float | None
    held_out: HeldOut
    by: str
    """What was held out together: specimen, block or site."""

    @property
    def leaks(self) -> bool:
        """Whether held-out pairs may overlap with training pairs."""
        return self.by == "site"

    @property
    def predicts(self) -> bool:
        """Whether a member predicts spectra of images."""
        return self.process is not None or self.config.networks_predict

    def parts(self, patches: np.ndarray) -> tuple[list[Predicted], list[float]]:
        """What every member that predicts spectra says, and the weights of the members."""
        weight = self.held_out.weight
        networks = self.networks if self.config.networks_predict else []
        parts = [of_network(network, patches) for network in networks]
        weights = [weight / max(len(parts), 1)] * len(parts)
        if self.process is not None:
            parts.append(of_process(self.process, patches))
            weights.append(1 - weight if networks else 1.0)
        return parts, weights

    def predict(self, patches: np.ndarray) -> Predicted:
        """What the members say together of image patches (site, channel, y, x)."""
        return mixed(*self.parts(patches))

    def half_width(self, sd: np.ndarray) -> np.ndarray:
        """Half width of the interval of observations with this sd."""
        return NORMAL_90 * self.held_out.scale * sd

    def refuse_other(self, given: Pairs) -> None:
        """Refuse patches that are not like those of the training.

        Raises:
            InputError: Shape, channels or pixel size differ.
        """
        if given.patches.shape[1:] != self.patch:
            (c, y, x), own = given.patches.shape[1:], self.patch
            raise InputError(
                f"patches have {c} channel(s) of {y} × {x} pixels, the model takes {own[0]} of {own[1]} × {own[2]}"
            )
        if given.channels and self.channels and given.channels != self.channels:
            raise InputError(
                f"patches have the channels {', '.join(given.channels)}, the model takes {', '.join(self.channels)}"
            )
        refuse_other_pixels(given.pixel_size_nm, self.pixel_size_nm)


SAME_PIXELS = 0.02
"""Largest relative difference of pixel sizes that are the same."""


def refuse_other_pixels(given: float | None, own: float | None) -> None:
    """Refuse pixels of another size than those of the training.

    Args:
        given: Pixel size [nm]; not compared where one of both is unknown.
        own: That of the training [nm].

    Raises:
        InputError: They differ by more than 2 %.
    """
    if given is not None and own is not None and abs(given / own - 1) > SAME_PIXELS:
        raise InputError(
            f"pixels are {given:.4g} nm wide, those of the training were {own:.4g} nm; resample the image"
        )


def geometries(patch: tuple[int, ...], n_energies: int) -> dict[str, Geometry]:
    """Shapes of the two signals."""
    return {IMAGE: Geometry(*patch), SPECTRUM: Geometry(1, 1, n_energies)}
