"""The checks of a verdict, one function each: numbers in, a finding out, or none where a check does not apply.

The thresholds between green, amber and red were found on trainings with known answers (`benchmarks/trials/verdict.py`); no check
uses an answer.
"""

from collections.abc import Callable

from invae.verdict.findings import Finding, Light, Verdict
from invae.verdict.symptoms import ClassSymptoms, Symptoms

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
APART, JOINED, ONE = 0.8, 0.3, 0.1
"""Valley between two classes: green from the first, red below the second if neighbours disagree too, red below the third."""
WHOLE, CUT = 0.45, 0.8
"""Valley inside a class: green up to the first, red above the second."""
NEIGHBOURS = 0.85
"""Agreement of neighbours: green from here."""
FOLLOWS = 0.3
"""Share of content or classes that follows from the position."""
MOVED = 0.03, 1.0
"""Sd of the position from which patches count as shifted: of the patch's side, and [pixel]."""
BESIDE = 0.05, 0.2
"""Share of the patches with something beside their object: amber, red."""
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


def collapsed(numbers: Symptoms) -> Finding | None:
    """Whether content dimensions say nothing."""
    idle = [k + 1 for k, kl in enumerate(numbers.kl_content) if kl < LITTLE_KL]
    much = "mean KL divergence " + ", ".join(f"{kl:.2f}" for kl in numbers.kl_content) + " nats"
    if not numbers.kl_content:
        return None
    if not idle:
        return Finding("collapsed", "green", "every content dimension is used", much)
    every = len(idle) == len(numbers.kl_content)
    named = "the content says" if every else f"content {_listed(idle)} says"
    return Finding(
        "collapsed",
        "red" if every and numbers.classes is None else "amber",
        f"{named} nothing about the patches: values and standard deviations are those of the prior",
        much,
        "lower model.beta or train for longer"
        if every
        else f"use a latent_dim smaller by {len(idle)}",
    )


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers)) if len(numbers) < 3 else ", ".join(map(str, numbers))


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


def unknown_classes(numbers: Symptoms) -> Finding | None:
    """Whether the classes could be tested."""
    if numbers.classes is None or numbers.classes.between is not None:
        return None
    return Finding(
        "classes",
        "amber",
        "it is not known whether the classes are apart: no model without classes was trained before this one",
        what_to_do="set training.class_start to groups, or repeat the training with another seed and compare",
    )


def classes_apart(numbers: Symptoms) -> Finding | None:
    """Whether there is a valley between any two classes."""
    found = numbers.classes
    if found is None or found.between is None:
        return None
    much = f"depth of the shallowest valley {found.between:.2f}; 0 none, 1 empty"
    if found.between >= APART or found.pair is None:
        return Finding("classes_apart", "green", "all classes are apart", much)
    named = _listed([k + 1 for k in found.pair])
    return Finding(
        "classes_apart",
        _light_of_valley(found),
        f"classes {named} are not apart: their patches pass into each other",
        much,
        "ask for fewer classes; or the classes follow something else, such as a background or a second object",
    )


def _light_of_valley(found: ClassSymptoms) -> Light:
    """Red only with a second witness, the neighbours, or without any valley: kinds under noise have shallow ones too."""
    assert found.between is not None
    disagree = found.neighbours is None or found.neighbours < NEIGHBOURS
    bad = found.between < ONE or (found.between < JOINED and disagree)
    return "red" if bad and not found.labelled else "amber"


def classes_whole(numbers: Symptoms) -> Finding | None:
    """Whether a class falls into two kinds."""
    found = numbers.classes
    if found is None or found.inside is None:
        return None
    much = f"depth of the deepest valley inside a class {found.inside:.2f}; 0 none, 1 empty"
    if found.inside <= WHOLE or found.split is None:
        return Finding("classes_whole", "green", "no class falls into two kinds", much)
    return Finding(
        "classes_whole",
        "red" if found.inside > CUT and not found.labelled else "amber",
        f"class {found.split + 1} holds two kinds of patches",
        much,
        f"ask for more classes, such as {len(found.sizes) + 1}",
    )


def neighbours(numbers: Symptoms) -> Finding | None:
    """Whether patches that look alike without any model are in one class."""
    found = numbers.classes
    if found is None or found.neighbours is None:
        return None
    much = f"agreement of neighbours {found.neighbours:.2f}; 0 by chance, 1 always"
    if found.neighbours >= NEIGHBOURS:
        words = "patches that look alike without the model are in one class"
        return Finding("neighbours", "green", words, much)
    return Finding(
        "neighbours",
        "amber",
        "patches that look alike without the model are often in different classes",
        much,
        "look at the patches of each class; noise, occlusion or a background may hide the kinds",
    )


def surplus(numbers: Symptoms) -> Finding | None:
    """Whether more classes were asked for than there are kinds."""
    found = numbers.classes
    if found is None or found.n_asked <= len(found.sizes):
        return None
    return Finding(
        "surplus",
        "amber",
        f"{found.n_asked} classes were asked for, {len(found.sizes)} kinds of patches were found",
        f"{found.n_asked - len(found.sizes)} classes had no valley to another one and were joined with it",
        f"ask for {len(found.sizes)} classes, or set training.surplus_classes to keep",
    )


def empty(numbers: Symptoms) -> Finding | None:
    """Whether classes are empty."""
    found = numbers.classes
    none = [] if found is None else [k + 1 for k, size in enumerate(found.sizes) if size == 0]
    if found is None or not none:
        return None
    return Finding(
        "empty",
        "amber",
        f"class{'es' * (len(none) > 1)} {_listed(none)} {'have' if len(none) > 1 else 'has'} no sites",
        f"{len(none)} of {len(found.sizes)} classes",
        f"ask for {max(2, len(found.sizes) - len(none))} classes",
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
        return Finding("foreign", "green", "what patches show beside their object is masked", much)
    light = step(found.images, *BESIDE)
    if light == "green":
        words = "few patches show anything beside their object"
        return Finding("foreign", light, words, much)
    return Finding(
        "foreign",
        light,
        "patches show something beside their object, and content and classes follow it",
        much,
        "try model.likelihood.foreign=mask, or smaller patches",
    )


def other_recording(numbers: Symptoms) -> Finding | None:
    """Whether a model from elsewhere describes this recording."""
    ratio = numbers.error_here
    if ratio is None:
        return None
    much = f"median error {ratio:.2f} times that on held-out sites of the training"
    light = step(ratio, STRANGE, FOREIGN)
    if light == "green":
        words = "the model describes this recording as well as its own"
        return Finding("other_recording", light, words, much)
    return Finding(
        "other_recording",
        light,
        "the model was trained on other recordings and describes this one worse",
        much,
        "train on this recording, or on both together",
    )


CHECKS: tuple[Check, ...] = (
    few_sites,
    overfitting,
    collapsed,
    linear,
    noise,
    position,
    foreign,
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
