"""The peers: when their training ends, when they predict, and how their spectra are scored."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.peers import watch
from benchmarks.peers.ask import Request, SpectraAnswer
from benchmarks.peers.watch import TimeIsUp, Watch
from benchmarks.trials import others_pairs, pairs


@pytest.fixture
def every_epoch_takes_two_seconds(monkeypatch):
    """The clock of the processor goes on by two seconds whenever it is read."""
    ticks = map(float, itertools.count(step=2))
    monkeypatch.setattr(watch.time, "process_time", lambda: next(ticks))


def watched(*, lengths: tuple[int, ...], cpu_seconds: float, least_epochs: int) -> Watch:
    request = {
        "trace": False,
        "lengths": list(lengths),
        "cpu_seconds": cpu_seconds,
        "least_epochs": least_epochs,
    }
    counted = itertools.count(1)
    return Watch(request, lambda: {"spectra": np.full((2, 3), next(counted))})


def test_spectra_are_predicted_after_the_asked_lengths_and_after_the_last_epoch():
    watch = watched(lengths=(2, 3, 99), cpu_seconds=1e9, least_epochs=0)
    for _ in range(5):
        watch.epoch()
    found = watch.answer_spectra(n_pairs=64)
    assert found["lengths"].tolist() == [2, 3, 5]
    assert found["spectra"][:, 0, 0].tolist() == [1, 2, 3]
    assert len(found["cpu"]) == len(found["wall"]) == 5
    assert found["n_pairs"] == 64


@pytest.mark.parametrize(("least_epochs", "n_epochs"), [(0, 2), (7, 7)])
def test_a_training_ends_after_its_time_but_not_before_its_least_epochs(
    every_epoch_takes_two_seconds, least_epochs, n_epochs
):
    watch = watched(lengths=(), cpu_seconds=3.0, least_epochs=least_epochs)
    for _ in range(n_epochs - 1):
        watch.epoch()
    with pytest.raises(TimeIsUp):
        watch.epoch()
    assert len(watch.answer_spectra(n_pairs=1)["cpu"]) == n_epochs


def pair_set(n_pairs: int, *, seed: int) -> pairs.PairSet:
    """Noise as images, and spectra of one peak that is somewhere else in each."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(0.5, 1.5, 32)
    peaks = np.exp(-(((axis - rng.uniform(0.8, 1.2, (n_pairs, 1))) / 0.1) ** 2))
    images = rng.normal(size=(n_pairs, 16, 16)).astype(np.float32)
    number = np.arange(n_pairs)
    return pairs.PairSet(images, 3 * peaks.astype(np.float32) + 1, peaks, number, axis, number)


def test_the_best_length_counts_and_spectra_return_to_their_own_unit(monkeypatch):
    asked = []

    def peer(
        name: str, request: Request, images: np.ndarray, spectra: np.ndarray, probe: np.ndarray
    ) -> SpectraAnswer:
        asked.append((images, spectra, probe))
        least, extent = training.spectra.min(), np.ptp(training.spectra)
        truth = (unseen.clean - least) / extent
        said = np.stack([0.8 * truth, truth, np.zeros_like(truth)])
        return SpectraAnswer(said, np.array([1, 2, 3]), 50, np.arange(1.0, 4), np.arange(1.0, 4))

    training, unseen = pair_set(100, seed=0), pair_set(40, seed=1)
    monkeypatch.setattr(pairs, "assemblies", lambda *_, **__: (training, unseen))
    monkeypatch.setattr(others_pairs, "ask_spectra", peer)
    trial = next(t for t in others_pairs.TRIALS if t.name == "pyroved-ved-100")
    in_time = {**trial.settings["peer"], "cpu_seconds": 1.5}
    trial = replace(trial, settings={**trial.settings, "peer": in_time})
    found = others_pairs.predicted("pyroVED", trial, 0, False)
    assert found["r2"] == pytest.approx(1)
    assert found["peak"] == pytest.approx(0, abs=1e-6)
    assert found["best_epoch"] == 2
    assert found["r2_in_time"] < 1
    assert found["r2_last"] < found["r2_in_time"]
    assert found["pairs_per_second"] == 50
    images, spectra, _ = asked[0]
    for values in (images, spectra):
        assert (values.min(), values.max()) == pytest.approx((0, 1))


def test_every_epoch_of_our_network_is_timed():
    times = others_pairs._epochs_of_ours(pair_set(100, seed=0), 3, seed=0)
    assert len(times) == 3
    assert (np.diff(times) > 0).all()
    assert others_pairs._rate(np.array([5.0, 6.0, 9.0]), 100) == 50
