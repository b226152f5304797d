"""Merging: the parts of an over-complete mixture become classes, by how often one is taken for the other.

A mixture with as many parts as there are classes splits a bent cloud in two and joins two small ones; with many parts every cloud
is covered, and parts of one cloud overlap.

Source: Hennig 2010, doi:10.1007/s11634-010-0058-3, directly estimated misclassification probabilities.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from invae.errors import InputError

N_PARTS = 20
"""Parts of the over-complete mixture."""
SITES_PER_PART = 25
"""Fewest sites for which a part is worth having."""
DUST = 0.25
"""Share of a class of average size below which a group is no class of its own."""
SPARE = 6
"""Groups of dust that may lie beside the classes."""


@dataclass(frozen=True)
class Merged:
    """Groups of parts, and how they came about."""

    probability: Float[np.ndarray, "site group"]
    overlap: Float[np.ndarray, " merge"]
    """Probability of being taken for the other one, at every merge; it jumps down where separate classes would be joined."""


def parts_of(
    content: Float[np.ndarray, "site latent"], *, seed: int, n_parts: int = N_PARTS
) -> Float[np.ndarray, "site part"]:
    """Probabilities of the parts of an over-complete Gaussian mixture for every site.

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
    """Parts of one class, and the label that its sites have, −1 if none of them is labelled."""

    parts: tuple[int, ...]
    label: int = -1

    def with_(self, other: "Group") -> "Group":
        """Both together."""
        return Group(self.parts + other.parts, max(self.label, other.label))


def merge(
    parts: Float[np.ndarray, "site part"],
    n_classes: int,
    *,
    labels: Int[np.ndarray, " site"] | None = None,
) -> Merged:
    """The parts in `n_classes` groups, some empty if there are fewer; where labels are known, group k holds those of label k.

    A few sites far from all others are parts of their own that nothing is taken for: groups much smaller than a class are set
    aside as dust and given to the class they are nearest to.

    Args:
        parts: Probabilities of the parts.
        n_classes: Groups wanted.
        labels: −1 where unknown.
    """
    start = [Group((part,), label) for part, label in enumerate(_votes(parts, labels))]
    least = DUST / n_classes * len(parts)
    groups, overlaps = _merged(parts, start, n_classes)
    for n_groups in range(n_classes + 1, min(n_classes + SPARE, len(start)) + 1):
        mass = [parts[:, group.parts].sum() for group in groups]
        classes = [g for g, m in zip(groups, mass, strict=True) if m >= least or g.label >= 0]
        if len(classes) >= n_classes:
            break
        groups, overlaps = _merged(parts, start, n_groups)
    while len(groups) > n_classes:
        groups, lost = _without_dust(parts, groups)
        overlaps.append(lost)
    probability = np.stack([parts[:, g.parts].sum(1) for g in _in_order(groups, n_classes)], axis=1)
    return Merged(probability, np.array(overlaps))


def _votes(
    parts: Float[np.ndarray, "site part"], labels: Int[np.ndarray, " site"] | None
) -> list[int]:
    """The label of most labelled sites of every part, −1 for a part that holds none."""
    if labels is None or not (labels >= 0).any():
        return [-1] * parts.shape[1]
    known = labels >= 0
    counts = np.stack([parts[known & (labels == k)].sum(0) for k in range(labels.max() + 1)])
    return [int(c.argmax()) if c.max() >= 0.5 else -1 for c in counts.T]


def _merged(
    parts: Float[np.ndarray, "site part"], groups: list[Group], n_groups: int
) -> tuple[list[Group], list[float]]:
    """Merge what shares a label, then the pair most often taken for each other, until few enough are left."""
    by_label: dict[int, Group] = {}
    free = [group for group in groups if group.label < 0]
    for group in groups:
        if group.label >= 0:
            held = by_label.get(group.label)
            by_label[group.label] = group if held is None else held.with_(group)
    groups, overlaps = [*by_label.values(), *free], list[float]()
    while len(groups) > n_groups:
        overlap = _overlap(parts, groups)
        first, second = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[first, second] < 0:
            break
        overlaps.append(float(overlap[first, second]))
        groups = _joined(groups, int(first), int(second))
    return groups, overlaps


def _without_dust(
    parts: Float[np.ndarray, "site part"], groups: list[Group]
) -> tuple[list[Group], float]:
    """The smallest group given to the one it is most often taken for."""
    mass = [np.inf if g.label >= 0 else parts[:, g.parts].sum() for g in groups]
    smallest = int(np.argmin(mass))
    overlap = _overlap(parts, groups)[smallest]
    return _joined(groups, smallest, int(overlap.argmax())), float(overlap.max())


def _overlap(
    parts: Float[np.ndarray, "site part"], groups: list[Group]
) -> Float[np.ndarray, "group group"]:
    """Probability of a site of one group to be taken for the other, the larger of both ways; −1 where they must not join."""
    probability = np.stack([parts[:, g.parts].sum(1) for g in groups], axis=1)
    joint = probability.T @ probability / np.maximum(probability.sum(0), 1e-12)[:, None]
    overlap = np.maximum(joint, joint.T)
    labels = np.array([g.label for g in groups])
    apart = (labels[:, None] >= 0) & (labels >= 0)
    return np.where(apart | np.eye(len(groups), dtype=bool), -1.0, overlap)


def _joined(groups: list[Group], first: int, second: int) -> list[Group]:
    rest = [group for k, group in enumerate(groups) if k not in (first, second)]
    return [*rest, groups[first].with_(groups[second])]


def _in_order(groups: list[Group], n_classes: int) -> list[Group]:
    """Groups with a label at that place, the others at the places left; a place that none is left for is empty."""
    placed = {group.label: group for group in groups if group.label >= 0}
    free = [group for group in groups if group.label < 0]
    return [placed.get(place) or (free.pop() if free else Group(())) for place in range(n_classes)]
