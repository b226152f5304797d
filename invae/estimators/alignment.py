"""Alignment: the latent variables of ensemble members are mapped onto those of a reference member.

Members number the same classes differently, and rotate content and angles differently.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

from invae import dims


@dataclass(frozen=True)
class Alignment:
    """The map from the latent variables of a member to those of the reference."""

    classes: dict[str, Int[np.ndarray, " class"]]
    """For every discrete latent variable: the reference's class for each class of the member."""
    rotation: Float[np.ndarray, "latent latent"]
    """Rotates or mirrors the centred content onto that of the reference."""
    centre: Float[np.ndarray, " latent"]
    reference_centre: Float[np.ndarray, " latent"]
    angle: Float[np.ndarray, " state"]
    """Added to the angles of the sites of each of the reference's classes [rad]."""


def fit_alignment(member: xr.Dataset, reference: xr.Dataset) -> Alignment:
    """The alignment of a member, from latents of the same sites in the member and the reference.

    Classes are aligned by the matching that agrees on most sites (Hungarian), content by a rotation or a reflection (orthogonal
    Procrustes; both have the same prior, so nothing is scaled), and the angle by one offset per class.
    """
    classes = {
        name: matched(member[f"{name}_probability"].values, reference[f"{name}_probability"].values)
        for name in class_names(member)
    }
    own, target = (np.float64(each["content"].values) for each in (member, reference))
    centre, reference_centre = own.mean(0), target.mean(0)
    rotation, _ = orthogonal_procrustes(own - centre, target - reference_centre)
    return Alignment(classes, rotation, centre, reference_centre, _offsets(member, reference))


def aligned(member: xr.Dataset, alignment: Alignment) -> xr.Dataset:
    """The latents of a member, aligned with the reference; `content_sd` is left out, since a rotation mixes it."""
    turned = (
        member["content"].values - alignment.centre
    ) @ alignment.rotation + alignment.reference_centre
    latents = member.drop_vars("content_sd", errors="ignore").assign(
        content=(member["content"].dims, turned.astype(np.float32))
    )
    for name, new in alignment.classes.items():
        probability = member[f"{name}_probability"]
        values = np.empty_like(probability.values)
        values[:, new] = probability.values
        latents[f"{name}_probability"] = (probability.dims, values)
        latents[name] = (dims.SITE, new[member[name].values].astype(np.int32))
    if "angle" in member:
        state = latents[dims.CLASS].values if alignment.classes else np.zeros(turned.shape[0], int)
        latents["angle"] = (dims.SITE, wrapped(member["angle"].values + alignment.angle[state]))
    return latents


def class_names(latents: xr.Dataset) -> list[str]:
    """Names of the discrete latent variables in a Dataset."""
    ends = "_probability"
    return [str(n).removesuffix(ends) for n in latents.data_vars if str(n).endswith(ends)]


def matched(
    own: Float[np.ndarray, "site class"], other: Float[np.ndarray, "site class"]
) -> Int[np.ndarray, " class"]:
    """The other's class for each own class, so that both agree on most sites."""
    _, names = linear_sum_assignment(-(own.T @ other))
    return names


def wrapped(angle: Float[np.ndarray, " site"]) -> Float[np.ndarray, " site"]:
    """The same angle in (−π, π]."""
    return (np.pi - np.remainder(np.pi - angle, 2 * np.pi)).astype(np.float32)


def _offsets(member: xr.Dataset, reference: xr.Dataset) -> Float[np.ndarray, " state"]:
    """Mean difference of the angles on the sites of each of the reference's classes [rad]; an empty class has that of all sites."""
    if "angle" not in member:
        return np.zeros(1)
    difference = np.exp(1j * np.float64(reference["angle"].values - member["angle"].values))
    if not class_names(reference):
        return np.angle(difference.mean(keepdims=True))
    state = reference[dims.CLASS].values
    n_states = reference.sizes[dims.CLASS]
    sums = np.array([difference[state == k].sum() for k in range(n_states)])
    return np.angle(np.where(np.bincount(state, minlength=n_states) > 0, sums, difference.sum()))
