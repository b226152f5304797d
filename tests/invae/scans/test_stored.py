"""Virtual images of a scan in a store."""

from pathlib import Path

import numpy as np
import pytest

from invae.errors import StoreError
from invae.scans.stored import maps_of_store
from invae.scans.virtual import Detectors, maps_of
from invae.storage import store


@pytest.mark.parametrize("threads", [1, 3])
def test_patterns_in_a_store_give_the_maps_of_those_in_memory(threads: int, tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).poisson(2, (13, 11, 24, 20)).astype("u2")
    names = ("scan_y", "scan_x", "k_y", "k_x")
    variable = store.Variable(names, patterns.shape, patterns.dtype, {}, (2, 4, 24, 20), (4, 12))
    store.lay_out(tmp_path / "a", {"pattern": variable}, shard=4)
    for tile in store.tiles(patterns.shape[:2], (4, 12)):
        store.write_tile(tmp_path / "a", "pattern", patterns[tile], tile=tile)
    bands = {"bf": (0.0, 6.0), "abf": (3.0, 6.0), "haadf": (8.0, 99.0)}
    detectors = Detectors(np.ones((24, 20), bool), (11.2, 9.7), bands)
    expected = maps_of(patterns.reshape(-1, 24, 20), detectors)
    for name, values in maps_of_store(tmp_path / "a", detectors, threads=threads).items():
        np.testing.assert_allclose(values.ravel(), expected[name], atol=1e-6)


def test_a_store_without_patterns_is_named(tmp_path: Path) -> None:
    variable = store.Variable(("frame", "y", "x"), (2, 3, 3), np.float32)
    store.lay_out(tmp_path / "a", {"height": variable}, shard=2)
    detectors = Detectors(np.ones((3, 3), bool), (1, 1), {})
    with pytest.raises(StoreError, match=r"a: holds no patterns .* ingest a scan"):
        maps_of_store(tmp_path / "a", detectors)
