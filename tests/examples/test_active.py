"""The figures of active measurement, on a small pool."""

import numpy as np

from benchmarks.trials.active import Pool
from examples import active
from invae.report import style
from tests.invae.active.conftest import make_pool, run


def test_the_share_of_the_best_sites_rises_to_what_was_measured():
    pool = make_pool()
    search = run(pool.search(), pool.target)
    shares = active.found_so_far(search, pool.target)
    assert (np.diff(shares) >= 0).all()
    top = np.argsort(-pool.target)[:3]
    assert shares[-1] == np.isin(top, [one.candidate for one in search.history]).mean()


def test_a_curve_for_every_method():
    small = make_pool()
    yx = np.stack([small.given["y"], small.given["x"]], 1).astype(float)
    pool = Pool(small.given["image"], yx, small.target)
    searches = {
        name: [run(small.search(**o), small.target, most=12)] for name, o in active.METHODS.items()
    }
    with style.applied(40):
        (axis,) = active.beside_random(pool, searches).axes
    assert [line.get_label() for line in axis.get_lines()] == list(active.METHODS)
