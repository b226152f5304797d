"""Merging: the components of an over-complete mixture become classes, by how often one is mistaken for the other.

A mixture with as many components as classes splits a bent cloud in two and joins two small ones. With many components every
cloud is covered, and components of one cloud overlap.

Source: Hennig 2010, doi:10.1007/s11634-010-0058-3, directly estimated misclassification probabilities.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from invae.errors import InputError

N_PARTS = 20
"""Components of the over-complete mixture."""
SITES_PER_PART = 25
"""Fewest sites per component."""
SMALL = 0.25
"""Share of a class of average size below which a group is no class."""
MOST_SMALL = 6
"""Most small groups beside the classes."""


@dataclass(frozen=True)
class Merged:
    """Groups of components, and the course of the merging."""

    probability: Float[np.ndarray, "site group"]
    overlap: Float[np.ndarray, " merge"]
    """Probability of mistaking one group for the other, at every merge; it drops where separate classes would be joined."""


def parts_of(
    content: Float[np.ndarray, "site latent"], *, seed: int, n_parts: int = N_PARTS
) -> Float[np.ndarray, "site part"]:
    """Probabilities of the components of an over-complete Gaussian mixture for every site.

    Raises:
        InputError: There are too few sites.
    """
    from sklearn.mixture import GaussianMixture

    n_parts = min(n_parts, len(content) // SITES_PER_PART)
    if n_parts < 2:
        raise InputError(
            f"{len(content)} patches are too few for classes; {2 * SITES_PER_PART} are needed"
        )
    spread = content.std(0)
    standard = (content - content.mean(0)) / np.where(spread > 0, spread, 1)
    mixture = GaussianMixture(n_parts, random_state=seed % 2**32, reg_covar=1e-4, max_iter=200)
    return mixture.fit(standard).predict_proba(standard)


@dataclass(frozen=True)
class Group:
    """Components of one class, and the label of its sites; −1 if none of them is labelled."""

    parts: tuple[int, ...]
    label: int = -1

    def with_(self, other: "Group") -> "Group":
        """The union of both."""
        return Group(self.parts + other.parts, max(self.label, other.label))


def merge(
    parts: Float[np.ndarray, "site part"],
    n_classes: int,
    *,
    labels: Int[np.ndarray, " site"] | None = None,
) -> Merged:
    """The components in `n_classes` groups, some empty if there are fewer; where labels are known, group k has label k.

    A few sites far from all others are components of their own that are never mistaken for others. Groups much smaller than a
    class are excluded at first, and finally join the class that they are most often confused with.

    Args:
        parts: Probabilities of the components.
        n_classes: Number of groups.
        labels: −1 where unknown.
    """
    start = [Group((part,), label) for part, label in enumerate(_votes(parts, labels))]
    least = SMALL / n_classes * len(parts)
    groups, overlaps = _merge_to(parts, start, n_classes)
    for n_groups in range(n_classes + 1, min(n_classes + MOST_SMALL, len(start)) + 1):
        mass = [parts[:, group.parts].sum() for group in groups]
        classes = [g for g, m in zip(groups, mass, strict=True) if m >= least or g.label >= 0]
        if len(classes) >= n_classes:
            break
        groups, overlaps = _merge_to(parts, start, n_groups)
    while len(groups) > n_classes:
        groups, overlap = _merge_smallest(parts, groups)
        overlaps.append(overlap)
    probability = np.stack([parts[:, g.parts].sum(1) for g in _by_label(groups, n_classes)], axis=1)
    return Merged(probability, np.array(overlaps))


def _votes(
    parts: Float[np.ndarray, "site part"], labels: Int[np.ndarray, " site"] | None
) -> list[int]:
    """The label of most labelled sites of every component; −1 for a component without any."""
    if labels is None or not (labels >= 0).any():
        return [-1] * parts.shape[1]
    known = labels >= 0
    counts = np.stack([parts[known & (labels == k)].sum(0) for k in range(labels.max() + 1)])
    return [int(c.argmax()) if c.max() >= 0.5 else -1 for c in counts.T]


def _merge_to(
    parts: Float[np.ndarray, "site part"], groups: list[Group], n_groups: int
) -> tuple[list[Group], list[float]]:
    """Merge groups of one label, then the pair most often mistaken for each other, until `n_groups` are left."""
    by_label: dict[int, Group] = {}
    free = [group for group in groups if group.label < 0]
    for group in groups:
        if group.label >= 0:
            other = by_label.get(group.label)
            by_label[group.label] = group if other is None else other.with_(group)
    groups, overlaps = [*by_label.values(), *free], list[float]()
    while len(groups) > n_groups:
        overlap = _overlap(parts, groups)
        first, second = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[first, second] < 0:
            break
        overlaps.append(float(overlap[first, second]))
        groups = _join(groups, int(first), int(second))
    return groups, overlaps


def _merge_smallest(
    parts: Float[np.ndarray, "site part"], groups: list[Group]
) -> tuple[list[Group], float]:
    """Merge the smallest group into the one that it is most often mistaken for."""
    mass = [np.inf if g.label >= 0 else parts[:, g.parts].sum() for g in groups]
    smallest = int(np.argmin(mass))
    overlap = _overlap(parts, groups)[smallest]
    return _join(groups, smallest, int(overlap.argmax())), float(overlap.max())


def _overlap(
    parts: Float[np.ndarray, "site part"], groups: list[Group]
) -> Float[np.ndarray, "group group"]:
    """Probability of mistaking a site of one group for the other, the larger of both directions; −1 where they must not join."""
    probability = np.stack([parts[:, g.parts].sum(1) for g in groups], axis=1)
    joint = probability.T @ probability / np.maximum(probability.sum(0), 1e-12)[:, None]
    overlap = np.maximum(joint, joint.T)
    labels = np.array([g.label for g in groups])
    apart = (labels[:, None] >= 0) & (labels >= 0)
    return np.where(apart | np.eye(len(groups), dtype=bool), -1.0, overlap)


def _join(groups: list[Group], first: int, second: int) -> list[Group]:
    rest = [group for k, group in enumerate(groups) if k not in (first, second)]
    return [*rest, groups[first].with_(groups[second])]


def _by_label(groups: list[Group], n_classes: int) -> list[Group]:
    """Groups with a label at that place, the others at the remaining places; a place without group is empty."""
    labelled = {group.label: group for group in groups if group.label >= 0}
    free = [group for group in groups if group.label < 0]
    return [
        labelled.get(place) or (free.pop() if free else Group(())) for place in range(n_classes)
    ]
