"""Classes that were found beside classes that are known: who is mistaken for whom, and how well they agree."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from invae import dims


@dataclass(frozen=True)
class Known:
    """Classes known beforehand."""

    name: str
    """Of the coordinate, without `truth_`."""
    label: np.ndarray
    """Class of each site; −1 where it is not known."""
    meanings: tuple[str, ...]
    symmetry: tuple[int, ...]
    """Turns that leave the class as it is, by class."""


def known_classes(sites: xr.Dataset) -> Known | None:
    """The first of the coordinates `truth_…` whose values are names, or `labels`; nothing if there is none."""
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
    """Sites of each found class (row) that are of each known class (column); sites of unknown class do not count."""
    counted = (found >= 0) & (known >= 0)
    table = np.zeros((n_found, n_known), dtype=np.int64)
    np.add.at(table, (found[counted], known[counted]), 1)
    return table


def matched(table: np.ndarray) -> np.ndarray:
    """The known class of each found one, so that most sites agree; −1 for those left over or without sites.

    Source: Kuhn 1955, doi:10.1002/nav.3800020109 (the Hungarian method).
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    match = np.full(len(table), -1, dtype=np.int64)
    match[rows] = columns
    return np.where(table.sum(axis=1) > 0, match, -1)


def accuracy(table: np.ndarray) -> float:
    """Share of the sites whose found class is matched with their known one; NaN without sites.

    Each known class has one found class at most: what is split in two counts half.
    """
    match, total = matched(table), table.sum()
    right = sum(int(table[row, column]) for row, column in enumerate(match) if column >= 0)
    return right / total if total else float("nan")


def compare(
    labellings: Mapping[str, np.ndarray], known: Known, *, n_found: Mapping[str, int] = {}
) -> xr.Dataset:
    """Found classes against the known ones: `count (labelling, found, known)`, `match`, `accuracy`, `adjusted_rand`.

    Rows beyond a labelling's own classes hold −1.

    Args:
        labellings: name → class of each site, from 0.
        known: what the sites are.
        n_found: classes of a labelling; those that have sites when empty.
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
    told = known.label >= 0
    rand = [adjusted_rand_score(known.label[told], label[told]) for label in labellings.values()]
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
