"""`Ensemble`: an estimator trained from several seeds; means, dispersions and unstable classes."""

import json
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from invae import dims
from invae.config import ModelConfig, TrainingConfig
from invae.errors import InputError, StoreError
from invae.estimators.alignment import Alignment, aligned, class_names, fit_alignment
from invae.estimators.estimator import from_files, saved_files
from invae.estimators.inputs import Data
from invae.estimators.invariant_vae import InvariantVAE
from invae.estimators.progress_bar import progress_bar
from invae.latent_table import plain_numbers
from invae.models.families import family_of
from invae.progress import Progress
from invae.storage.json_text import parsed
from invae.training.checkpoint import OnEpoch
from invae.training.device import one_thread
from invae.training.fit import USUAL_EPOCHS
from invae.training.members import Reports, expected_seconds, n_processes, train_all

CARD_FILE = "ensemble.json"
STABLE = 0.9
"""Mean share of members that agree on the sites of a class, below which the class is called unstable."""


class Ensemble:
    """The same model from several seeds.

    Members differ in weights, order of the patches, noise and held-out sites. On a processor they are trained on all cores. The member
    with the best held-out ELBO is the reference; the latent variables of the others are aligned with it (`alignment`).

    Example:
        >>> import numpy as np
        >>> patches = np.random.default_rng(0).normal(size=(60, 16, 16))
        >>> template = InvariantVAE("jVAE", n_classes=2, training={"epochs": 1})
        >>> latents = Ensemble(template, n_members=2).fit(patches).encode(patches)
        >>> latents["class_entropy"].dims
        ('site',)
    """

    def __init__(self, template: InvariantVAE, *, n_members: int = 8) -> None:
        """Make members from an estimator, which need not be trained; their seeds are the template's and the numbers after it.

        Raises:
            InputError: There are fewer than two members.
        """
        if n_members < 2:
            raise InputError(
                f"an ensemble of {n_members} member(s) disagrees on nothing; take 2 or more"
            )
        self.members = [_with_seed(template, template.seed + k) for k in range(n_members)]
        self._alignments: list[Alignment] = []
        self._reference = 0

    @one_thread()
    def fit(
        self,
        patches: Data,
        *,
        valid: np.ndarray | None = None,
        y: np.ndarray | xr.DataArray | None = None,
        condition: np.ndarray | xr.DataArray | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> "Ensemble":
        """Train every member (see `InvariantVAE.fit`), and align the members on the same patches.

        Where the first member finds fewer kinds than classes were asked for, all members have as many classes as it has. So the
        first member of a family with classes is trained alone.

        Args:
            patches: As for one estimator.
            valid: As for one estimator.
            y: As for one estimator.
            condition: As for one estimator.
            workers: Members that are trained at a time on a processor; the number of cores when empty. Values do not depend on it.
            progress: Called with the finished epochs of all members, in place of a bar.
        """
        with progress_bar(progress, verbose=self.members[0].verbose, unit="epoch") as shown:
            reports = Reports(len(self.members), shown)
            _train_all(self.members, _Data(patches, valid, y, condition), workers=workers, reports=reports)  # fmt: skip
        scores = [max(epoch.score for epoch in member.history) for member in self.members]
        self._reference = int(np.argmax(scores))
        latents = [m.encode(patches, valid=valid, condition=condition) for m in self.members]
        self._alignments = [fit_alignment(each, latents[self._reference]) for each in latents]
        return self

    @one_thread()
    def encode(
        self,
        patches: Data,
        *,
        valid: np.ndarray | None = None,
        condition: np.ndarray | xr.DataArray | None = None,
    ) -> xr.Dataset:
        """Latents of all members together, aligned with the reference.

        Content, target and all poses but the angle have the mean, and as `<name>_dispersion` the sd between members. `angle`
        has the circular mean and sd [rad]. `class` is the class of highest mean `class_probability`, `class_entropy` is the
        entropy of that mean [nats], and `agreement` is the share of members with this class. `attrs["unstable_classes"]` lists
        the classes whose sites have too little agreement.

        Raises:
            InputError: The ensemble has not been trained.
        """
        if not self._alignments:
            raise InputError("this ensemble has seen no data; call fit or load first")
        latents = [m.encode(patches, valid=valid, condition=condition) for m in self.members]
        pairs = zip(latents, self._alignments, strict=True)
        return combined([aligned(each, alignment) for each, alignment in pairs])

    def save(self, path: str | Path) -> None:
        """Write every member into its own folder, and the alignments."""
        folder = Path(path)
        for number, member in enumerate(self.members):
            member.save(folder / _name(number))
        alignments = [
            {
                "classes": {name: names.tolist() for name, names in each.classes.items()},
                "rotation": each.rotation.tolist(),
                "centre": each.centre.tolist(),
                "reference_centre": each.reference_centre.tolist(),
                "angle": each.angle.tolist(),
            }
            for each in self._alignments
        ]
        card = {"reference": self._reference, "words": alignments}
        (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Ensemble":
        """The ensemble of a folder.

        Raises:
            StoreError: There is none in it.
        """
        folder = Path(path)
        try:
            card = parsed((folder / CARD_FILE).read_text())
            alignments = [
                Alignment(
                    {name: np.array(names) for name, names in each["classes"].items()},
                    *(
                        np.array(each[k])
                        for k in ("rotation", "centre", "reference_centre", "angle")
                    ),
                )
                for each in card["words"]
            ]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StoreError(f"{folder} holds no ensemble: {error}") from error
        members = [
            InvariantVAE.load(folder / _name(k), device=device) for k in range(len(alignments))
        ]
        ensemble = cls(members[0], n_members=len(members))
        ensemble.members, ensemble._alignments = members, alignments
        ensemble._reference = int(card["reference"])
        return ensemble


def _take_classes(member: InvariantVAE, first: InvariantVAE) -> None:
    """Give a member as many classes as the first one has found: members with other numbers cannot be aligned."""
    if found := first.trained.config.n_classes:
        member.config = member.config.model_copy(update={"n_classes": found})
        member.training = member.training.model_copy(update={"surplus_classes": "keep"})


@dataclass(frozen=True)
class _Data:
    """What all members are trained on."""

    patches: Data
    valid: np.ndarray | None
    y: np.ndarray | xr.DataArray | None
    condition: np.ndarray | xr.DataArray | None

    def n_values(self) -> float | int:
        """Number of values of the patches; infinite for stores, which are not opened here."""
        patches = self.patches
        return patches.size if isinstance(patches, np.ndarray | xr.DataArray) else math.inf


@dataclass(frozen=True)
class _Settings:
    """Of a member."""

    config: ModelConfig
    training: TrainingConfig
    seed: int
    device: torch.device

    def estimator(self) -> InvariantVAE:
        """An untrained one."""
        vae = InvariantVAE()
        vae.config, vae.training = self.config, self.training
        vae.seed, vae.device = self.seed, self.device
        return vae


def _train_all(
    members: Sequence[InvariantVAE], data: _Data, *, workers: int | None, reports: Reports
) -> None:
    """Train members; of a model with classes the first one first, because its classes are those of the others."""
    others = members
    if family_of(members[0].config.family).classes:
        _train(members[:1], data, workers=1, reports=reports)
        others = members[1:]
        for member in others:
            _take_classes(member, members[0])
    _train(others, data, workers=workers, reports=reports, first=len(members) - len(others))


def _train(
    members: Sequence[InvariantVAE],
    data: _Data,
    *,
    workers: int | None,
    reports: Reports,
    first: int = 0,
) -> None:
    """Train members; `first` is the number of the first of them."""
    tasks = [_Settings(m.config, m.training, m.seed, m.device) for m in members]
    training, device = members[0].training, members[0].device
    n_values = data.n_values() * (training.epochs or USUAL_EPOCHS)
    seconds = expected_seconds(n_steps=0, n_values=n_values)
    if "__main__" in members[0].config.model_dump_json():
        workers = 1  # parts of the calling script, which other processes do not run
    trained = train_all(
        partial(_trained, data),
        tasks,
        workers=n_processes(workers, device=device, seconds=seconds),
        reports=reports,
        first=first,
    )
    for member, files in zip(members, trained, strict=True):
        loaded = from_files(files, partial(InvariantVAE.load, device=str(device)))
        member._trained, member.class_names = loaded._trained, loaded.class_names


def _trained(
    data: _Data, member: _Settings, *, progress: Progress, on_epoch: OnEpoch
) -> dict[str, bytes]:
    """The files of a trained member."""
    vae = member.estimator()
    vae.fit(
        data.patches,
        valid=data.valid,
        y=data.y,
        condition=data.condition,
        progress=progress,
        on_epoch=on_epoch,
    )
    return saved_files(vae)


def combined(members: Sequence[xr.Dataset]) -> xr.Dataset:
    """Means and dispersions of aligned members; see `Ensemble.encode`."""
    first = members[0]
    variables: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, object]]] = {}
    for name in plain_numbers(first.variables):
        values = np.stack([each[name].values for each in members])
        where = tuple(map(str, first[name].dims))
        attrs = dict(first[name].attrs)
        variables[name] = (where, values.mean(0), attrs)
        variables[f"{name}_dispersion"] = (where, values.std(0), _between(attrs))
    if "angle" in first:
        mean = np.exp(1j * np.stack([each["angle"].values for each in members])).mean(0)
        attrs = dict(first["angle"].attrs)
        variables["angle"] = ((dims.SITE,), np.angle(mean), attrs)
        spread = np.sqrt(-2 * np.log(np.abs(mean).clip(1e-9, 1)))
        variables["angle_dispersion"] = ((dims.SITE,), spread, _between(attrs))
    dataset = xr.Dataset(variables, coords=_site_coords(first))
    for name in class_names(first):
        dataset = dataset.assign(_consensus(members, name))
    return dataset.assign_attrs(n_members=len(members), unstable_classes=_unstable(dataset))


def _consensus(
    members: Sequence[xr.Dataset], name: str
) -> dict[str, tuple[str | tuple[str, str], np.ndarray, dict[str, object]]]:
    probability = np.mean([each[f"{name}_probability"].values for each in members], axis=0)
    best = probability.argmax(1)
    votes = np.stack([each[name].values for each in members])
    shared = "share of members whose most probable class it is"
    return {
        name: (dims.SITE, best.astype(np.int32), dims.attrs("most probable class")),
        f"{name}_probability": ((dims.SITE, name), probability, dims.attrs("mean over members")),
        f"{name}_entropy": (
            dims.SITE,
            entropy(probability),
            dims.attrs("entropy of the mean probabilities [nat]"),
        ),
        name.replace(dims.CLASS, "agreement"): (
            dims.SITE,
            (votes == best).mean(0),
            dims.attrs(shared),
        ),
    }


def entropy(probability: Float[np.ndarray, "site class"]) -> Float[np.ndarray, " site"]:
    """Entropy of every row [nats]."""
    return -(probability * np.log(probability.clip(1e-30))).sum(-1)


def _unstable(dataset: xr.Dataset) -> list[int]:
    """Classes whose sites have too little agreement, or that have no site."""
    if "agreement" not in dataset:
        return []
    state, agreement = dataset[dims.CLASS].values, dataset["agreement"].values
    return [
        k
        for k in range(dataset.sizes[dims.CLASS])
        if not (state == k).any() or agreement[state == k].mean() < STABLE
    ]


def _between(attrs: dict[str, object]) -> dict[str, object]:
    return {**attrs, "long_name": f"sd between members of the {attrs.get('long_name', 'value')}"}


def _site_coords(latents: xr.Dataset) -> dict[str, xr.DataArray]:
    own = set(class_names(latents))
    return {str(n): c for n, c in latents.coords.items() if n not in own and n not in latents.dims}


def _with_seed(template: InvariantVAE, seed: int) -> InvariantVAE:
    member = copy(template)
    member.seed, member._trained = seed, None
    return member


def _name(number: int) -> str:
    return f"member_{number:02d}"
