"""Labels of classes as users have them: numbers, words, or categories of pandas."""

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = "class_names.json"
"""Names of the classes of a saved model, where its labels were words."""


def numbered(labels: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of the classes (site), −1 where unknown, and their names; numbers stay as they are and have no names.

    Words are numbered in alphabetical order, categories in their own. An empty word, None and NaN are unknown.
    """
    categories = getattr(labels, "cat", labels)
    if hasattr(categories, "categories"):
        return np.asarray(categories.codes, np.int64), tuple(map(str, categories.categories))
    values = np.asarray(labels)
    if values.dtype.kind not in "OUS":
        return values, ()
    words = ["" if word is None or word != word else str(word) for word in values.tolist()]
    names = sorted({*words} - {""})
    number = {name: index for index, name in enumerate(names)} | {"": -1}
    return np.array([number[word] for word in words]), tuple(names)


def write_names(folder: Path, names: tuple[str, ...]) -> None:
    """Write the names beside a saved model, if there are any."""
    if names:
        (folder / FILE).write_text(json.dumps(names), encoding="utf-8")


def read_names(folder: Path) -> tuple[str, ...]:
    """The names beside a saved model; empty without any."""
    file = folder / FILE
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()
