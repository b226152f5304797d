"""Alignment: members of an ensemble call the same things by different names until one of them is taken as the reference."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

from invae import dims


@dataclass(frozen=True)
class Words:
    """What one member's words are in those of the reference."""

    classes: dict[str, Int[np.ndarray, " class"]]
    """For every discrete latent: the reference's name of each of the member's classes."""
    rotation: Float[np.ndarray, "latent latent"]
    """Turns (and mirrors) the centred content onto the reference's."""
    centre: Float[np.ndarray, " latent"]
    reference_centre: Float[np.ndarray, " latent"]
    angle: Float[np.ndarray, " state"]
    """Added to the angles of the sites of each of the reference's classes [rad]."""


def learn(member: xr.Dataset, reference: xr.Dataset) -> Words:
    """How to translate a member, from what it and the reference say of the same sites.

    Classes by the matching that agrees on most sites (Hungarian), content by a rotation or a mirroring (orthogonal Procrustes;
    both have the same prior, so nothing is stretched), the angle by one offset for each class.
    """
    classes = {
        name: matched(member[f"{name}_probability"].values, reference[f"{name}_probability"].values)
        for name in class_names(member)
    }
    own, other = (np.float64(said["content"].values) for said in (member, reference))
    centre, reference_centre = own.mean(0), other.mean(0)
    rotation, _ = orthogonal_procrustes(own - centre, other - reference_centre)
    return Words(classes, rotation, centre, reference_centre, _offsets(member, reference))


def translate(member: xr.Dataset, words: Words) -> xr.Dataset:
    """What a member says, in the words of the reference; `content_sd` is left out, since a rotation mixes it."""
    turned = (member["content"].values - words.centre) @ words.rotation + words.reference_centre
    said = member.drop_vars("content_sd", errors="ignore").assign(
        content=(member["content"].dims, turned.astype(np.float32))
    )
    for name, renamed in words.classes.items():
        probability = member[f"{name}_probability"]
        values = np.empty_like(probability.values)
        values[:, renamed] = probability.values
        said[f"{name}_probability"] = (probability.dims, values)
        said[name] = (dims.SITE, renamed[member[name].values].astype(np.int32))
    if "angle" in member:
        state = said[dims.CLASS].values if words.classes else np.zeros(turned.shape[0], int)
        said["angle"] = (dims.SITE, wrapped(member["angle"].values + words.angle[state]))
    return said


def class_names(said: xr.Dataset) -> list[str]:
    """The discrete latents that a Dataset tells of."""
    ends = "_probability"
    return [str(n).removesuffix(ends) for n in said.data_vars if str(n).endswith(ends)]


def matched(
    own: Float[np.ndarray, "site class"], other: Float[np.ndarray, "site class"]
) -> Int[np.ndarray, " class"]:
    """For each of one's own classes the other's class, so that both agree on most sites."""
    _, names = linear_sum_assignment(-(own.T @ other))
    return names


def wrapped(angle: Float[np.ndarray, " site"]) -> Float[np.ndarray, " site"]:
    """The same angle in (−π, π]."""
    return (np.pi - np.remainder(np.pi - angle, 2 * np.pi)).astype(np.float32)


def _offsets(member: xr.Dataset, reference: xr.Dataset) -> Float[np.ndarray, " state"]:
    """Mean difference of the angles on the sites of each of the reference's classes [rad]; that of all sites for an empty class."""
    if "angle" not in member:
        return np.zeros(1)
    difference = np.exp(1j * np.float64(reference["angle"].values - member["angle"].values))
    if not class_names(reference):
        return np.angle(difference.mean(keepdims=True))
    state = reference[dims.CLASS].values
    n_states = reference.sizes[dims.CLASS]
    sums = np.array([difference[state == k].sum() for k in range(n_states)])
    return np.angle(np.where(np.bincount(state, minlength=n_states) > 0, sums, difference.sum()))
