"""The checks of a verdict, one function each: numbers in, a finding out, or none where a check does not apply.

The thresholds between green, amber and red were found on trainings with known answers (`benchmarks/trials/verdict.py`); no check
uses an answer.
"""

from collections.abc import Callable

from invae.verdict.class_checks import (
    classes_apart,
    classes_whole,
    empty,
    neighbours,
    surplus,
    unknown_classes,
)
from invae.verdict.findings import Finding, Light, Verdict, listed
from invae.verdict.symptoms import Symptoms

Check = Callable[[Symptoms], Finding | None]

EARLY = 0.35
"""A best epoch in this share of the training is early."""
FEWEST_SITES, FEW_SITES = 60, 200
"""Training sites."""
FEW_IN_CLASS = 20
"""Training sites in a class."""
WORSE, MUCH_WORSE = 1.3, 2.0
"""Held-out error relative to the training error."""
LITTLE_KL = 0.05
"""Mean divergence of an unused content dimension [nats]."""
NOISE = 1.5
"""Held-out residual variance relative to that of the learned noise."""
SAME_SD, NARROW = 1.1, 5.0
"""Factor of a stated sd that is worth a word, and that is amber."""
FOLLOWS = 0.3
"""Share of content or classes that follows from the position."""
MOVED = 0.03, 1.0
"""Sd of the position from which patches count as shifted: of the patch's side, and [pixel]."""
BESIDE = 0.05, 0.2
"""Share of the patches with something beside their object: amber, red."""
PARTS = 0.15, 0.35
"""Share of the patches with a part that is not described: amber, red. It is 0.1 at most for good classes, and 0.4 at least where squares
hide a tenth of every patch."""
STRANGE, FOREIGN = 1.3, 2.0
"""Error on another recording relative to the held-out error of the training."""
SAME_SIZE = 0.02
"""Relative difference of errors that is none."""


def overfitting(numbers: Symptoms) -> Finding:
    """Whether the model describes held-out sites as well as those that it has learned from."""
    if numbers.error_held_out is None or numbers.elbo_held_out is None:
        return Finding(
            "overfitting",
            "amber",
            "no sites were held out, so that overfitting would not be noticed",
            what_to_do="set training.held_out to 0.15, or record more sites",
        )
    ratio = numbers.error_held_out / max(numbers.error_training, 1e-12)
    early = numbers.best_epoch < EARLY * numbers.n_epochs
    much = (
        f"held-out error {ratio:.2f} times that of the training sites; ELBO {numbers.elbo_training:.1f} on training "
        f"sites, {numbers.elbo_held_out:.1f} on held-out sites; best epoch {numbers.best_epoch} of {numbers.n_epochs}"
    )
    light = step(ratio, WORSE, MUCH_WORSE)
    if early and light == "green" and ratio > 1 + (WORSE - 1) / 2:
        light = "amber"
    if light == "green":
        return Finding("overfitting", light, "held-out sites are described as well", much)
    return Finding(
        "overfitting",
        light,
        "the model describes the training sites better than sites it has not seen: it overfits",
        much,
        "use more sites, a smaller latent_dim or narrower layers"
        + (" and a shorter training.patience" if early else ""),
    )


def step(value: float, amber: float, red: float) -> Light:
    """Green up to a threshold, red above another, larger one."""
    return "red" if value > red else "amber" if value > amber else "green"


def graded(name: str, light: Light, much: str, *, good: str, bad: str, what_to_do: str) -> Finding:
    """A finding in the words of its light; the remedy where it is not green."""
    if light == "green":
        return Finding(name, light, good, much)
    return Finding(name, light, bad, much, what_to_do)


def collapsed(numbers: Symptoms) -> Finding | None:
    """Whether content dimensions say nothing."""
    idle = [k + 1 for k, kl in enumerate(numbers.kl_content) if kl < LITTLE_KL]
    much = "mean KL divergence " + ", ".join(f"{kl:.2f}" for kl in numbers.kl_content) + " nats"
    if not numbers.kl_content:
        return None
    if not idle:
        return Finding("collapsed", "green", "every content dimension is used", much)
    every = len(idle) == len(numbers.kl_content)
    named = "the content says" if every else f"content {listed(idle)} says"
    return Finding(
        "collapsed",
        "red" if every and numbers.classes is None else "amber",
        f"{named} nothing about the patches: values and standard deviations are those of the prior",
        much,
        "lower model.beta or train for longer"
        if every
        else f"use a latent_dim smaller by {len(idle)}",
    )


def linear(numbers: Symptoms) -> Finding | None:
    """Whether principal components describe unseen sites as well with as many numbers."""
    own, pca, mean = numbers.error_held_out, numbers.error_pca, numbers.error_mean
    if own is None or pca is None or mean is None:
        return None
    much = f"held-out error {own:.3g}, PCA with {numbers.n_numbers} components {pca:.3g}, mean patch {mean:.3g}"
    if own >= mean:
        return Finding(
            "linear",
            "red",
            "the model describes unseen sites no better than the mean patch does",
            much,
            "use more sites, or look for structure in the patches first",
        )
    if own >= pca * (1 - SAME_SIZE):
        return Finding(
            "linear",
            "amber",
            "PCA with as many numbers describes unseen sites as well or better",
            much,
            "use PCA, or train on more sites",
        )
    return Finding("linear", "green", "the model describes unseen sites better than PCA", much)


def few_sites(numbers: Symptoms) -> Finding:
    """Whether there are enough sites to learn from."""
    n_sites, much = numbers.n_training, f"{numbers.n_training} training sites"
    smallest = None
    if numbers.classes is not None:
        sizes = [size for size in numbers.classes.sizes if size]
        smallest = min(sizes, default=0)
        much += f", {smallest} in the smallest class"
    if n_sites < FEWEST_SITES:
        light: Light = "red"
    elif n_sites < FEW_SITES or (smallest is not None and smallest < FEW_IN_CLASS):
        light = "amber"
    else:
        return Finding("few_sites", "green", "there are enough sites", much)
    return Finding(
        "few_sites",
        light,
        "there are few sites to learn from: another seed or sample may give another answer",
        much,
        "record more, or take patches closer to each other",
    )


def noise(numbers: Symptoms) -> Finding | None:
    """Whether held-out residuals are as large as the noise that the model has learned."""
    if numbers.noise_ratio is None:
        return None
    ratio = numbers.noise_ratio
    much = f"mean square residual of held-out sites {ratio:.2f} times the variance of the learned noise"
    if ratio <= NOISE:
        return Finding("noise", "green", "residuals are as large as the learned noise", much)
    return Finding(
        "noise",
        "amber",
        "the model takes its noise for smaller than it is: standard deviations of its answers are too small",
        much,
        f"multiply standard deviations by {ratio**0.5:.1f} at least, or use more sites",
    )


def uncertainty(numbers: Symptoms) -> Finding | None:
    """Whether stated standard deviations cover another draw of the noise; they are multiplied by the ratio where they do not."""
    ratios = {name: ratio for name, ratio in (numbers.sd_ratio or {}).items() if ratio > SAME_SD}
    if numbers.sd_ratio is None:
        return None
    if not ratios:
        words = "stated standard deviations cover another draw of the noise"
        return Finding("uncertainty", "green", words)
    much = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
    return Finding(
        "uncertainty",
        "amber" if max(ratios.values()) > NARROW else "green",
        "standard deviations are multiplied so that they cover another draw of the noise",
        f"by {much}",
        "train for longer, or with more sites",
    )


def position(numbers: Symptoms) -> Finding | None:
    """Whether content or classes follow the position of what a patch shows."""
    found = numbers.position
    if found is None:
        return None
    much = (
        f"sd of the position {found.spread:.1f} pixels; {found.content:.0%} of a content dimension "
        f"and {found.classes:.0%} of the position go together"
        if numbers.classes is None
        else f"sd of the position {found.spread:.1f} pixels; {found.content:.0%} of a content dimension follow from it, "
        f"{found.classes:.0%} of it lie between the classes"
    )
    share, least = MOVED
    moves = found.spread >= max(share * found.side, least)
    if not moves or max(found.content, found.classes) <= FOLLOWS:
        return Finding("position", "green", "content does not follow position", much)
    return Finding("position", "amber", "content follows position", much, f"try {found.remedy}")


def foreign(numbers: Symptoms) -> Finding | None:
    """Whether patches show something beside their object, such as a second one."""
    found = numbers.foreign
    if found is None:
        return None
    much = f"{found.images:.0%} of the patches, with {found.pixels:.0%} of their pixels"
    if found.masked:
        return Finding("foreign", "green", "objects beside that of a patch are masked", much)
    return graded(
        "foreign",
        step(found.images, *BESIDE),
        much,
        good="few patches show anything beside their object",
        bad="patches show something beside their object, and content and classes follow it",
        what_to_do="set model.likelihood to {kind: gaussian, foreign: mask}, or take smaller patches",
    )


def undescribed(numbers: Symptoms) -> Finding | None:
    """Whether patches have parts that the model does not describe, such as something that covers the object."""
    share = numbers.undescribed
    if share is None:
        return None
    much = f"{share:.0%} of the patches"
    return graded(
        "undescribed",
        step(share, *PARTS),
        much,
        good="the model describes all parts of the patches",
        bad="the model does not describe parts of the patches: something may cover the object or lie beside it",
        what_to_do="look at the patches with the largest errors; mask the pixels that cover the object, train for longer, or use a larger latent_dim",
    )


def other_recording(numbers: Symptoms) -> Finding | None:
    """Whether a model from elsewhere describes this recording."""
    ratio = numbers.error_here
    if ratio is None:
        return None
    much = f"median error {ratio:.2f} times that on held-out sites of the training"
    return graded(
        "other_recording",
        step(ratio, STRANGE, FOREIGN),
        much,
        good="the model describes this recording as well as its own",
        bad="the model was trained on other recordings and describes this one worse",
        what_to_do="train on this recording, or on both together",
    )


CHECKS: tuple[Check, ...] = (
    few_sites,
    overfitting,
    collapsed,
    linear,
    noise,
    uncertainty,
    position,
    foreign,
    undescribed,
    surplus,
    empty,
    unknown_classes,
    classes_apart,
    classes_whole,
    neighbours,
    other_recording,
)
"""All checks, in the order of the report; a new one is a function and a line here."""
ON_CLASSES = (
    "classes",
    "classes_apart",
    "classes_whole",
    "neighbours",
    "foreign",
    "undescribed",
    "surplus",
    "empty",
)
"""Names of findings on classes."""


def verdict_on(numbers: Symptoms | None) -> Verdict:
    """The verdict that follows from the numbers; amber where they are not known, as for models of earlier versions."""
    if numbers is None:
        return Verdict(
            (
                Finding(
                    "unknown",
                    "amber",
                    "it is not known how far this model can be believed: it was made by a version without a verdict",
                    what_to_do="train again",
                ),
            )
        )
    found = (check(numbers) for check in CHECKS)
    return Verdict(tuple(finding for finding in found if finding is not None))
