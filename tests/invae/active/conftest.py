"""A pool whose target follows from what the patches show, and a search over it."""

from dataclasses import dataclass

import numpy as np
import pytest

from invae.active import Search

SIDE = 16


@dataclass(frozen=True)
class Pool:
    """Candidates on a grid, and their target without noise."""

    given: dict[str, np.ndarray]
    target: np.ndarray

    def search(self, **options) -> Search:
        return Search(self.given, **{"budget": 30, "least_gain": 0, **options})


def make_pool(seed: int = 0) -> Pool:
    """Discs of different radii; the target is largest where they are large."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)).reshape(2, -1)
    radius = 2.5 + np.sin(0.5 * y) + np.cos(0.4 * x)
    grid = np.hypot(*(np.indices((10, 10)) - 4.5))
    images = (grid < radius[:, None, None]) + 0.05 * rng.normal(size=(SIDE**2, 10, 10))
    return Pool({"image": images, "y": y, "x": x}, radius**2)


@pytest.fixture(scope="session")
def pool() -> Pool:
    return make_pool()


def run(search: Search, target: np.ndarray, *, batch: int = 1, most: int = 10**6) -> Search:
    """Measure until the search ends, or so many times."""
    while not search.stop and len(search.history) < most:
        sites = search.suggest(batch)
        search.observe(sites, values=target[sites["candidate"]])
    return search


def order(search: Search) -> list[int]:
    return [one.candidate for one in search.history]
