"""A session at an instrument: the ledger is the truth, and nothing is measured twice."""

import numpy as np
import pytest
import xarray as xr

from invae.active import ledger
from invae.active.instruments import Replay
from invae.active.session import Session
from invae.errors import StoreError
from tests.invae.active.conftest import order

AXIS = np.linspace(-1, 1, 6)


class Counted:
    """An instrument that counts, and is killed after some measurements."""

    def __init__(self, target: np.ndarray, most: int = 10**6, survey=None) -> None:
        spectra = target[:, None] * np.ones(6)
        coords = {"voltage": ("voltage", AXIS, {"units": "V"})}
        self._replay = Replay(xr.Dataset({"spectrum": (("site", "voltage"), spectra)}, coords))
        self.measured: list[int] = []
        self._most, self._survey = most, survey

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        if len(self.measured) >= self._most:
            raise KeyboardInterrupt
        self.measured += sites["candidate"].to_numpy().tolist()
        found = self._replay.measure(sites)
        return found if self._survey is None else found.assign(survey=self._survey(self))


def begin(folder, pool, instrument, *, key="a", **options) -> Session:
    return Session(folder, pool.search(target="offset", **options), instrument, key=key)


@pytest.mark.parametrize("most", [1, 7, 18])
def test_a_killed_search_goes_on_with_the_same_next_site(pool, tmp_path, most):
    undisturbed = begin(tmp_path / "whole", pool, Counted(pool.target))
    undisturbed.run()
    killed = begin(tmp_path / "killed", pool, Counted(pool.target, most))
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    instrument = Counted(pool.target)
    resumed = begin(tmp_path / "killed", pool, instrument)
    resumed.run()
    assert order(resumed.search) == order(undisturbed.search)
    assert len(instrument.measured) == 30 - most
    assert (tmp_path / "killed" / "ledger.jsonl").read_bytes() == undisturbed.path.read_bytes()


def test_an_incomplete_last_line_is_no_measurement(pool, tmp_path):
    whole = begin(tmp_path, pool, Counted(pool.target), budget=8)
    whole.run()
    content = whole.path.read_bytes()
    whole.path.write_bytes(content[:-9])
    resumed = begin(tmp_path, pool, Counted(pool.target), budget=8)
    assert len(resumed.search.history) == 7
    resumed.run()
    assert whole.path.read_bytes() == content


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "l").write_text('{"event": "started"}\n{broken\n')
    with pytest.raises(StoreError, match="line 2 is damaged"):
        list(ledger.read(tmp_path / "l"))


def test_the_ledger_of_another_search_is_refused(pool, tmp_path):
    begin(tmp_path, pool, Counted(pool.target))
    with pytest.raises(StoreError, match="holds a search of other candidates or settings"):
        begin(tmp_path, pool, Counted(pool.target), key="b")


def test_decisions_of_a_person_survive(pool, tmp_path):
    session = begin(tmp_path, pool, Counted(pool.target))
    for _ in range(8):
        session.step()
    session.exclude((0, 7), (0, 15))
    session.retarget("height")
    session.end("a person has stopped it")
    again = begin(tmp_path, pool, Counted(pool.target))
    assert again.search.config.target == "height"
    assert again.search.forbidden.sum() == 8 * 16
    assert again.why_stopped == "a person has stopped it"
    assert again.step() == 0


def test_a_measurement_is_on_the_disk_before_the_next_proposal(pool, tmp_path):
    class Reading(Counted):
        def measure(self, sites):
            lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
            assert len(lines) == 1 + len(self.measured)
            return super().measure(sites)

    begin(tmp_path, pool, Reading(pool.target), budget=9).run()


def test_drift_moves_the_places_where_the_instrument_goes(pool, tmp_path):
    from scipy.ndimage import gaussian_filter, shift

    field = gaussian_filter(np.random.default_rng(0).normal(size=(60, 60)), 2)

    def survey(instrument):
        moved = shift(field, (0.5 * (len(instrument.measured) - 1), 0), mode="grid-wrap")
        return (("survey_y", "survey_x"), moved)

    session = begin(tmp_path, pool, Counted(pool.target, survey=survey), budget=8)
    session.run()
    np.testing.assert_allclose(session.drift, (3.5, 0.0), atol=0.2)
    session.search.history.pop()
    sites = session.propose()
    assert float(sites["target_y"][0] - sites["y"][0]) == pytest.approx(3.5, abs=0.2)
    events = list(ledger.read(session.path))
    shifts = [event["shift"] for event in events if event["event"] == ledger.DRIFT]
    assert len(shifts) == 8
    again = begin(tmp_path, pool, Counted(pool.target), budget=8)
    np.testing.assert_array_equal(again.drift, session.drift)
