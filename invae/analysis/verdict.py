"""The verdict on a result: the numbers of the training beside those of this recording, and the neighbours' vote on each class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.decoding import discrete_of
from invae.analysis.kind import Scalars
from invae.training.model_folder import load_parts, load_start, load_symptoms
from invae.verdict.checks import ON_CLASSES, verdict_on
from invae.verdict.findings import LIGHTS, WITHHELD, Verdict
from invae.verdict.neighbours import N_VOTES, votes


def verdict_of(model: Path, sites: xr.Dataset) -> Verdict:
    """The verdict on a result.

    Args:
        model: Folder of the model.
        sites: Its latent variables and errors of the recording.
    """
    numbers = load_symptoms(model)
    if numbers is not None and numbers.typical_error and _is_other(sites):
        here = float(sites["reconstruction_error"].median()) / numbers.typical_error
        numbers = replace(numbers, error_here=here)
    return verdict_on(numbers)


def _is_other(sites: xr.Dataset) -> bool:
    """Whether the model has seen none of these sites in its training."""
    return "held_out" in sites.variables and bool(sites["held_out"].all())


def judged(model: Path, sites: xr.Dataset) -> xr.Dataset:
    """The sites with the verdict in their attributes, and with `class_vote (site, class)` where it is known.

    Probabilities of the classes are marked as withheld where the verdict on the classes is red.
    """
    verdict = verdict_of(model, sites)
    sites = sites.assign_attrs(verdict.attrs())
    if [*discrete_of(sites)] != ["class"]:
        return sites
    if (vote := class_votes(model, sites)) is not None:
        sites["class_vote"] = vote
    withheld = verdict.light_of(*ON_CLASSES) == "red"
    sites["class_probability"].attrs[WITHHELD] = int(withheld)
    return sites


def class_votes(model: Path, sites: xr.Dataset) -> xr.DataArray | None:
    """Shares of the classes among the nearest sites (site, class), NaN where the patterns of a site are not known.

    None for a model of several recordings or of another one, and for models without such patterns.
    """
    start = load_start(model)
    if start is None or _is_other(sites) or load_parts(model):
        return None
    label, n_classes = sites["class"].to_numpy(), sites.sizes[dims.CLASS]
    if len(start.sites) <= 1 or start.sites.max() >= len(label):
        return None
    vote = np.full((len(label), n_classes), np.nan, dtype=np.float32)
    vote[start.sites] = votes(start.patterns, label[start.sites], n_classes=n_classes)
    words = f"share of the class among the {N_VOTES} nearest sites in the patterns of a model without classes"
    return xr.DataArray(vote, dims=(dims.SITE, dims.CLASS), attrs=dims.attrs(words))


def scalars_of(verdict: Verdict | None) -> Scalars:
    """The verdict in the group `summary`."""
    if verdict is None:
        return {}
    return {
        "verdict": (LIGHTS.index(verdict.light), "verdict (0 green, 1 amber, 2 red)", "1"),
        "n_concerns": (len(verdict.concerns), "findings that are not green", "1"),
    }
