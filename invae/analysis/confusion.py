"""Found classes compared with true classes: confusion matrices and scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from invae import dims


@dataclass(frozen=True)
class Known:
    """True classes."""

    name: str
    """Name of the coordinate, without `truth_`."""
    label: np.ndarray
    """Class of each site; −1 if unknown."""
    meanings: tuple[str, ...]
    symmetry: tuple[int, ...]
    """Rotational symmetry of each class."""


def known_classes(sites: xr.Dataset) -> Known | None:
    """The first coordinate `truth_…` with named values, or `labels`; None if there is neither."""
    for name in (*sorted(map(str, sites.variables)),):
        variable = sites.variables[name]
        if not name.startswith("truth_") or "flag_meanings" not in variable.attrs:
            continue
        meanings = tuple(dims.meanings(variable.attrs))
        symmetry = variable.attrs.get("symmetry", [1] * len(meanings))
        label = variable.to_numpy().astype(np.int64)
        return Known(name.removeprefix("truth_"), label, meanings, tuple(map(int, symmetry)))
    return None


def cross_table(found: np.ndarray, known: np.ndarray, *, n_found: int, n_known: int) -> np.ndarray:
    """Number of sites per found class (row) and true class (column), without sites of unknown class."""
    counted = (found >= 0) & (known >= 0)
    table = np.zeros((n_found, n_known), dtype=np.int64)
    np.add.at(table, (found[counted], known[counted]), 1)
    return table


def matched(table: np.ndarray) -> np.ndarray:
    """The true class that matches each found class, for the largest number of agreeing sites; −1 for unmatched classes and classes without sites.

    Source: Kuhn 1955, doi:10.1002/nav.3800020109 (the Hungarian method).
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    match = np.full(len(table), -1, dtype=np.int64)
    match[rows] = columns
    return np.where(table.sum(axis=1) > 0, match, -1)


def accuracy(table: np.ndarray) -> float:
    """Share of the sites whose found class matches their true class; NaN without sites.

    Each true class matches at most one found class: if a class is split in two, only one part counts.
    """
    match, total = matched(table), table.sum()
    right = sum(int(table[row, column]) for row, column in enumerate(match) if column >= 0)
    return right / total if total else float("nan")


def compare(
    labellings: Mapping[str, np.ndarray], known: Known, *, n_found: Mapping[str, int] = {}
) -> xr.Dataset:
    """Found and true classes: `count (labelling, found, known)`, `match`, `accuracy`, `adjusted_rand`.

    Rows beyond the classes of a labelling are −1.

    Args:
        labellings: name → class of each site, from 0.
        known: the true classes.
        n_found: number of classes of a labelling; from its sites when empty.
    """
    n_known = len(known.meanings)
    tables = {
        name: cross_table(
            label,
            known.label,
            n_found=max(n_found.get(name, 0), int(label.max()) + 1),
            n_known=n_known,
        )
        for name, label in labellings.items()
    }
    n_rows = max(len(table) for table in tables.values())
    count = np.full((len(tables), n_rows, n_known), -1, dtype=np.int64)
    match = np.full((len(tables), n_rows), -1, dtype=np.int64)
    for place, table in enumerate(tables.values()):
        count[place, : len(table)], match[place, : len(table)] = table, matched(table)
    is_known = known.label >= 0
    rand = [
        adjusted_rand_score(known.label[is_known], label[is_known]) for label in labellings.values()
    ]
    return xr.Dataset(
        {
            "count": (
                ("labelling", "found", "known"),
                count,
                dims.attrs(
                    "sites of the found class that belong to the true class; −1: no such class"
                ),
            ),
            "match": (
                ("labelling", "found"),
                match,
                dims.attrs("true class matched with the found one; −1: none"),
            ),
            "accuracy": (
                "labelling",
                [accuracy(table) for table in tables.values()],
                dims.attrs("share of sites whose found class matches their true class"),
            ),
            "adjusted_rand": (
                "labelling",
                rand,
                dims.attrs("adjusted Rand index (1: identical classes, 0: chance)"),
            ),
        },
        coords={"labelling": list(tables), "known": list(known.meanings)},
        attrs={"known": known.name},
    )
