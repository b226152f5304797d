"""Learning from pairs: every pair is held out once, then all members learn from all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from invae.config import TrainingConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import InputError
from invae.pairs.data import Pairs
from invae.pairs.designs import MOST_WANTED, Designs, designs, some_of
from invae.pairs.fitted import Fitted, HeldOut
from invae.pairs.partners import both_contents, ranks
from invae.pairs.prediction import NORMAL_90, Predicted, mixed, of_network, of_process
from invae.progress import Progress, silent
from invae.regression.empty_patches import empty_is_nothing, empty_patches
from invae.regression.gaussian_process import GaussianProcess
from invae.training.checkpoint import OnEpoch, ignore
from invae.training.folds import Folds, folds_of
from invae.training.pair_training import LEAST_PAIRS, PairMember, train_members
from invae.training.split import Split

TRAINING = {"learning_rate": 2e-3, "averaging": 0.995, "patience": 40}
"""What differs from the defaults of a training: single steps scatter more than for one signal."""
WEIGHTS = np.linspace(0, 1, 21)
"""Weights of the networks that are tried, beside the Gaussian process."""
PRIOR_FOLDS, PRIOR_WEIGHT = 2, 0.3
"""Folds that say beforehand which weight the networks have beside the process, and that intervals are as wide as they should be."""
EMPTY = 0.15
"""Empty patches with empty spectra that networks learn from, per pair. 100 pairs of two dense specimens then predict sparse ones: R² of two
sets .72 instead of .55; a set that has sparse patches is predicted alike (.79)."""
MEAN_RATE = {"constant": 1.0, "cosine": 0.5}
"""Mean learning rate of a whole training, relative to the highest, by schedule."""
ONCE_FOLDS = 8
"""Parts of the pairs of which one is held out where every network is trained once."""
LEAST_SHARE = 0.6
"""Smallest share of the pairs that such a network learns from."""
FIRST_OF_FOLDS = 100
"""Difference of the seeds of members with held-out pairs and of the others."""


@dataclass(frozen=True)
class Learning:
    """How a model learns."""

    model: PairsModelConfig
    training: TrainingConfig
    seed: int
    device: torch.device
    checkpoints: Path | None = None
    """Folder for checkpoints; none are written when empty."""
    on_epoch: OnEpoch = ignore
    """Called with every epoch of every member."""
    workers: int | None = None
    """Members that are trained at a time; the number of cores when empty."""

    def members(
        self,
        given: Pairs,
        splits: Sequence[Split],
        *,
        name: str,
        n_epochs: int | None,
        first: int,
        progress: Progress,
    ) -> list[PairMember]:
        """One network per split; with `n_epochs` all of them are trained that long."""
        training, checkpoints = self.training, None
        if n_epochs is not None:
            training = training.model_copy(update={"epochs": n_epochs, "patience": n_epochs})
        if self.checkpoints is not None:
            checkpoints = self.checkpoints / name
            checkpoints.mkdir(exist_ok=True, parents=True)
        assert given.spectra is not None
        if self.model.family == "im2spec" and empty_is_nothing(given.patches, given.spectra):
            given, splits = _with_empty(given, splits, seed=self.seed)
        return train_members(
            given.source(),
            splits,
            model=self.model,
            training=training,
            seed=self.seed + first,
            device=self.device,
            checkpoints=checkpoints,
            workers=self.workers,
            progress=progress,
            on_epoch=self.on_epoch,
        )


def _with_empty(given: Pairs, splits: Sequence[Split], *, seed: int) -> tuple[Pairs, list[Split]]:
    """Pairs with empty ones at the end, and splits that train on these too."""
    assert given.spectra is not None
    n = max(1, round(EMPTY * len(given)))
    empty = empty_patches(given.patches, n, seed=seed)
    nothing = np.zeros((n, given.spectra.shape[1]), np.float32)
    more = replace(
        given,
        patches=np.concatenate((given.patches, empty)),
        spectra=np.concatenate((given.spectra, nothing)),
    )
    added = len(given) + np.arange(n)
    return more, [Split(np.concatenate((s.training, added)), s.held_out) for s in splits]


def folds_for(given: Pairs, *, n_folds: int, seed: int) -> Folds:
    """Folds of pairs: by specimen, else by blocks of space, else one by one."""
    return folds_of(
        len(given), n_folds=n_folds, seed=seed, specimen=given.specimen, places=given.places
    )


def fit(given: Pairs, learning: Learning, *, progress: Progress = silent) -> Fitted:
    """A model that has learned from pairs.

    Args:
        given: The pairs.
        learning: Settings.
        progress: Called with percent and 100.

    Raises:
        InputError: The pairs cannot be learned from.
        TrainingDiverged: The loss became infinite or not a number.
    """
    _refuse_unusable(given)
    model, seed = learning.model, learning.seed
    folds = folds_for(given, n_folds=model.n_folds, seed=seed)
    share = 100 * len(folds.splits) // (len(folds.splits) + model.n_members)
    held_out = _held_out(given, folds, learning, _part(progress, 0, share))
    networks = learning.members(
        given,
        [Split(np.arange(len(given)), np.zeros(0, int))] * model.n_members,
        name="members",
        n_epochs=held_out.n_epochs,
        first=0,
        progress=_part(progress, share, 100),
    )
    process = _process(given, learning)
    progress(100, 100)
    return _fitted(given, learning, networks, process, held_out, by=folds.by)


def fit_once(given: Pairs, learning: Learning, *, progress: Progress = silent) -> Fitted:
    """The same without predictions of held-out pairs: a quicker training, for models that do not predict intervals.

    Every network holds out another eighth of the pairs, which says after which epoch it is best; of two specimens one would be half of
    the pairs, and the last epoch counts.

    Raises:
        InputError: The pairs cannot be learned from.
        TrainingDiverged: The loss became infinite or not a number.
    """
    _refuse_unusable(given)
    folds = folds_for(given, n_folds=ONCE_FOLDS, seed=learning.seed)
    splits = [folds.splits[k % len(folds.splits)] for k in range(learning.model.n_members)]
    if any(len(split.training) < LEAST_SHARE * len(given) for split in splits):
        splits = [Split(np.arange(len(given)), np.zeros(0, int))] * learning.model.n_members
    networks = learning.members(
        given, splits, name="members", n_epochs=None, first=0, progress=progress
    )
    assert given.spectra is not None
    nothing = HeldOut.nothing(given.spectra.shape[1], _usual_epochs(networks, learning.training))
    return _fitted(given, learning, networks, _process(given, learning), nothing, by=folds.by)


def _process(given: Pairs, learning: Learning) -> GaussianProcess | None:
    """The Gaussian process of all pairs, where the model has one."""
    if not learning.model.uses_process:
        return None
    assert given.spectra is not None
    return GaussianProcess.fit(given.patches, given.spectra, seed=learning.seed)


def _fitted(
    given: Pairs,
    learning: Learning,
    networks: Sequence[PairMember],
    process: GaussianProcess | None,
    held_out: HeldOut,
    *,
    by: str,
) -> Fitted:
    assert given.axis is not None
    return Fitted(
        config=learning.model,
        training=learning.training,
        seed=learning.seed,
        networks=[member.model for member in networks],
        histories=[[epoch.to_json() for epoch in member.history] for member in networks],
        process=process,
        axis=given.axis,
        units=given.units,
        patch=given.patches.shape[1:],
        channels=given.channels,
        pixel_size_nm=given.pixel_size_nm,
        held_out=held_out,
        by=by,
    )


def _refuse_unusable(given: Pairs) -> None:
    if len(given) < LEAST_PAIRS:
        raise InputError(
            f"{len(given)} pair(s) are too few to learn from; give {LEAST_PAIRS} or more"
        )
    assert given.spectra is not None
    if given.spectra.max() == given.spectra.min():
        raise InputError(
            f"all spectra are constant ({given.spectra.max():g}); there is nothing to learn"
        )


def _held_out(given: Pairs, folds: Folds, learning: Learning, progress: Progress) -> HeldOut:
    """What members say of pairs that they have not seen; their weights and the width of intervals follow from it."""
    assert given.spectra is not None
    model, spectra = learning.model, given.spectra
    networks = learning.members(
        given,
        folds.splits if model.n_members else [],
        name="folds",
        n_epochs=None,
        first=FIRST_OF_FOLDS,
        progress=progress,
    )
    n_epochs = _usual_epochs(networks, learning.training)
    histories = [[epoch.to_json() for epoch in member.history] for member in networks]
    unseen = _of_the_held_out(given, folds, networks, learning)
    predict = bool(networks) and model.networks_predict
    weight = _weight(unseen, spectra, networks_predict=predict, process_predicts=model.uses_process)
    trust = len(folds.splits) / (len(folds.splits) + PRIOR_FOLDS)
    if predict and model.uses_process:
        weight = trust * weight + (1 - trust) * PRIOR_WEIGHT
    both = mixed([unseen.by_network, unseen.by_process], [weight, 1 - weight])
    if weight in (0.0, 1.0):
        both = unseen.by_network if weight else unseen.by_process
    ratio = np.abs(spectra - both.mean) / np.maximum(both.sd, 1e-12)
    scale = (float(np.quantile(ratio, model.coverage)) / NORMAL_90) ** trust
    fold = np.zeros(len(given), np.int32)
    for number, split in enumerate(folds.splits):
        fold[split.held_out] = number
    mean, sd = both.mean.astype(np.float32), both.sd.astype(np.float32)
    return HeldOut(
        mean,
        sd,
        spectra,
        fold,
        weight,
        scale,
        n_epochs,
        histories,
        ranks=unseen.ranks,
        contents=unseen.contents,
        designs=unseen.designs,
    )


@dataclass(frozen=True)
class Unseen:
    """What members say of pairs that they have not seen."""

    by_network: Predicted
    by_process: Predicted
    ranks: np.ndarray
    contents: np.ndarray
    designs: Designs | None


def _of_the_held_out(
    given: Pairs, folds: Folds, networks: Sequence[PairMember], learning: Learning
) -> Unseen:
    assert given.spectra is not None
    model, spectra = learning.model, given.spectra
    by_network, by_process = (Predicted.unknown(spectra.shape) for _ in range(2))
    n_partners = len(given) if model.has_partners else 0
    of_partners = np.zeros((n_partners, 2), np.int32)
    contents = np.zeros((n_partners, 2, model.latent_dim), np.float32)
    made: list[Designs] = []
    for number, split in enumerate(folds.splits):
        here, seen = split.held_out, split.training
        if networks and model.networks_predict:
            by_network.put(here, of_network(networks[number].model, given.patches[here]))
        if model.has_partners:
            network = networks[number].model
            of_partners[here] = ranks([network], given.patches[here], spectra[here])
            contents[here] = both_contents(network, given.patches[here], spectra[here])
        if model.uses_process:
            process = GaussianProcess.fit(given.patches[seen], spectra[seen], seed=learning.seed)
            by_process.put(here, of_process(process, given.patches[here]))
            if model.family == "spec2im":
                most = -(-MOST_WANTED // len(folds.splits))
                made.append(
                    designs(
                        [networks[number].model],
                        process,
                        spectra,
                        wanted=some_of(here, most),
                        library=seen,
                        n_private=model.private_dim,
                        rng=np.random.default_rng([learning.seed, 14, number]),
                    )
                )
    joined = Designs.joined(made) if made else None
    return Unseen(by_network, by_process, of_partners, contents, joined)


def _usual_epochs(members: Sequence[PairMember], training: TrainingConfig) -> int | None:
    """Epochs of a whole training that moves the weights as far as members went to their best epochs: the median.

    A member stops at its best epoch while its learning rate is still high; a training that ends there has lowered the rate to zero and has
    gone half as far. With 300 pairs R² of networks is .83 after as many epochs, .86 after as much learning rate.
    """
    far = [sum(e.learning_rate for e in m.history[: _best(m) + 1]) for m in members if m.history]
    if not far:
        return None
    mean = MEAN_RATE[training.schedule] * training.learning_rate
    return max(1, round(float(np.median(far)) / mean))


def _best(member: PairMember) -> int:
    """Number of the best epoch."""
    return max(epoch.epoch for epoch in member.history if epoch.best)


def _weight(
    unseen: Unseen, spectra: np.ndarray, *, networks_predict: bool, process_predicts: bool
) -> float:
    """Weight of the networks with the least squared error on pairs that no member has seen."""
    if not networks_predict or not process_predicts:
        return 1.0 if networks_predict else 0.0
    one, other = unseen.by_network.mean, unseen.by_process.mean
    errors = [((w * one + (1 - w) * other - spectra) ** 2).sum() for w in WEIGHTS]
    return float(WEIGHTS[int(np.argmin(errors))])


def _part(progress: Progress, start: int, stop: int) -> Progress:
    return lambda done, total: progress(start + (stop - start) * done // max(total, 1), 100)
