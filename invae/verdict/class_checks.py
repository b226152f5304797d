"""The checks of a verdict on classes: whether they are apart, whole, as many as were asked for."""

from invae.verdict.findings import Finding, Light, listed
from invae.verdict.symptoms import ClassSymptoms, Symptoms

APART, JOINED, ONE = 0.8, 0.3, 0.1
"""Valley between two classes: green from the first, red below the second if neighbours disagree too, red below the third."""
WHOLE, CUT = 0.45, 0.8
"""Valley inside a class: green up to the first, red above the second."""
NEIGHBOURS = 0.85
"""Agreement of neighbours: green from here."""


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
    named = listed([k + 1 for k in found.pair])
    return Finding(
        "classes_apart",
        _light_of_valley(found),
        f"classes {named} are not apart: their patches pass into each other",
        much,
        "describe sites near the boundary by their content, which has no boundary"
        if found.continuum
        else "ask for fewer classes; or the classes follow something else, such as a background or a second object",
    )


def _light_of_valley(found: ClassSymptoms) -> Light:
    """Red only with a second witness, the neighbours, or without any valley: kinds under noise have shallow ones too.

    Never red where labels, or the division of a continuum, were asked for.
    """
    assert found.between is not None
    disagree = found.neighbours is None or found.neighbours < NEIGHBOURS
    bad = found.between < ONE or (found.between < JOINED and disagree)
    intended = found.labelled or found.continuum
    return "red" if bad and not intended else "amber"


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
        f"class{'es' * (len(none) > 1)} {listed(none)} {'have' if len(none) > 1 else 'has'} no sites",
        f"{len(none)} of {len(found.sizes)} classes",
        f"ask for {max(2, len(found.sizes) - len(none))} classes",
    )
