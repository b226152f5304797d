"""Sites that have a manifold of their own."""

import numpy as np
import xarray as xr

from invae.analysis.classes import empty_classes


def sites(state: list[int], n_classes: int) -> xr.Dataset:
    probability = np.eye(n_classes)[state]
    return xr.Dataset(
        {"class": ("site", np.array(state)), "class_probability": (("site", "k"), probability)}
    ).rename({"k": "class_"})


def test_classes_without_sites_are_named():
    assert empty_classes(sites([0, 1, 2, 1], 3)) == []
    (line,) = empty_classes(sites([0, 2, 2], 4))
    assert line.startswith("2 of 4 model classes have no sites (2, 4)")
    assert empty_classes(xr.Dataset({"content": (("site", "latent"), np.zeros((3, 2)))})) == []
