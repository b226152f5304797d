"""The gate of spectra: known spikes, known noise, and the public grid of loops."""

from pathlib import Path

import numpy as np
import pytest

from invae.descriptors.spectra.quality import REASONS, assess, hampel, noise_sd, run_lengths
from invae.readers import open_recording

RANDOM = np.random.default_rng(11)
ENERGY = np.linspace(0, 1, 200)


def peaks(width: float = 0.05, n: int = 60) -> np.ndarray:
    """Lorentzian peaks of differing energy and similar strength, without noise."""
    centres = RANDOM.uniform(0.3, 0.7, size=(n, 1))
    strength = RANDOM.uniform(0.8, 1.2, size=(n, 1))
    return strength / (1 + ((ENERGY - centres) / (width / 2)) ** 2)


def test_clean_spectra_pass_as_they_are() -> None:
    clean = peaks()
    quality = assess(clean)
    assert quality.valid.all()
    assert quality.counts() == {"valid": 60}
    assert quality.n_spikes.sum() == 0
    np.testing.assert_array_equal(quality.cleaned, clean)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_a_narrow_peak_is_no_spike(noise: float) -> None:
    narrow = peaks(width=0.01) + RANDOM.normal(scale=noise, size=(60, 200))  # two steps wide
    quality = assess(narrow)
    top = narrow.argmax(axis=1)
    kept = quality.cleaned[np.arange(60), top] == narrow[np.arange(60), top]
    assert kept.mean() >= (0.8 if noise < 0.1 else 0.5)


def test_spikes_are_replaced_and_nothing_else() -> None:
    noisy = peaks(0.2) + RANDOM.normal(scale=0.02, size=(60, 200))
    spikes = RANDOM.random(noisy.shape) < 0.03
    spiked = np.where(spikes, noisy + RANDOM.choice([-1, 1], noisy.shape) * 50, noisy)
    cleaned, replaced = hampel(spiked)
    assert replaced[spikes].mean() > 0.99
    assert (replaced & ~spikes).mean() < 0.005
    assert np.abs(cleaned - noisy)[replaced].max() < 0.5
    np.testing.assert_array_equal(cleaned[~replaced], spiked[~replaced])


def test_a_step_between_two_levels_stays() -> None:
    steps = np.repeat(np.array([[0.0, 1, 2, 3, 10]]), 40, axis=1) * np.ones((9, 1))
    for values in (steps, steps + RANDOM.normal(scale=0.01, size=steps.shape)):
        assert not hampel(values)[1].any()
    staircase = np.concatenate([np.zeros(60), [5.0, 5.0], np.full(60, 10.0)]) * np.ones((9, 1))
    assert not hampel(staircase)[1].any()


def test_a_line_of_the_specimen_stays() -> None:
    line = peaks(0.2) + RANDOM.normal(scale=0.01, size=(60, 200))
    line[:, 120] += 50
    assert not hampel(line)[1][:, 120].any()


def test_scale_and_offset_of_the_unit_change_no_decision() -> None:
    spiked = peaks(0.2) + RANDOM.normal(scale=0.02, size=(60, 200))
    spiked[3, 50] = 40
    first, second = assess(spiked), assess(spiked * 1e-12)
    np.testing.assert_array_equal(first.reason, second.reason)
    np.testing.assert_array_equal(first.n_spikes, second.n_spikes)
    assert first.n_spikes[3] == 1


def test_the_noise_is_known_from_second_differences() -> None:
    smooth = np.sin(np.linspace(0, 6, 400)) * np.ones((50, 1))
    for sd in (0.01, 0.3):
        estimate = noise_sd(smooth + RANDOM.normal(scale=sd, size=smooth.shape))
        assert np.median(estimate) == pytest.approx(sd, rel=0.05)
    assert np.isnan(noise_sd(np.ones((2, 5)))).all()


def test_every_reason_is_found_and_counted() -> None:
    spectra = peaks(0.2) + RANDOM.normal(scale=0.01, size=(60, 200))
    spectra[0, 7] = np.nan
    spectra[1] = 0.25
    spectra[2, 80:95] = 9.0  # the limit of the detector
    spectra[3] = np.where(np.arange(200) % 3 == 0, 8.0 * (-1.0) ** np.arange(200), spectra[3])
    spectra[4] *= 7.0
    quality = assess(spectra)
    names = [REASONS[code] for code in quality.reason[:5]]
    assert names == ["not finite", "constant", "clipped", "spikes", "amplitude"]
    assert quality.valid[5:].all()
    assert quality.counts() == {"valid": 55, **dict.fromkeys(REASONS[1:], 1)}
    assert quality.remark().startswith("55 of 60 spectra valid (1 not finite, 1 constant")
    assert np.isnan(quality.spectrum_sd[0])
    assert quality.reason_attrs()["flag_meanings"].split()[1] == "not_finite"


def test_empty_channels_of_a_counting_detector_are_not_clipped() -> None:
    counts = RANDOM.poisson(peaks(0.1) * 20).astype("u2")
    counts[:, :30] = 0
    assert "clipped" not in assess(counts).counts()


def test_weak_spectra_are_valid() -> None:
    spectra = peaks(0.2) + RANDOM.normal(scale=0.01, size=(60, 200))
    spectra[:10] *= 0.01
    assert assess(spectra).valid.all()


def test_odd_inputs_have_an_answer() -> None:
    for spectra in (np.full((3, 20), np.nan), np.zeros((3, 20)), np.ones((1, 20))):
        assert not assess(spectra).valid.any()
    assert assess(np.zeros((0, 20))).counts() == {}
    assert assess(RANDOM.normal(size=(20, 5))).valid.any()
    with pytest.raises(ValueError, match="3 axes"):
        assess(np.zeros((2, 2, 2)))


def test_the_given_spectra_are_left_alone() -> None:
    spectra = peaks(0.2) + RANDOM.normal(scale=0.01, size=(60, 200))
    spectra[3, 50] = np.inf
    before = spectra.copy()
    assess(spectra)
    np.testing.assert_array_equal(spectra, before)


def test_spectra_are_judged_alike_in_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    spectra = peaks(0.2) + RANDOM.normal(scale=0.02, size=(60, 200))
    spectra[::7, 50] = 40
    whole = assess(spectra)
    monkeypatch.setattr("invae.descriptors.spectra.quality.WINDOW_VALUES", 7000)
    np.testing.assert_array_equal(assess(spectra).cleaned, whole.cleaned)


def test_runs_are_as_long_as_they_are() -> None:
    marked = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]], dtype=bool)
    assert run_lengths(marked).tolist() == [[2, 2, 0, 3, 3, 3], [0, 0, 0, 0, 0, 1]]


def test_the_public_grid_of_loops_loses_its_failed_fits(shared_data: Path) -> None:
    recording = open_recording(shared_data / "spectra/BEPS_PTO_50x50.h5")
    raw = recording["piezoresponse"].values.reshape(-1, 64)
    bias = recording["voltage"].values
    quality = assess(raw)
    step = np.roll(bias, -1) - np.roll(bias, 1)
    area, clean_area = (np.abs((loops * step).sum(axis=1)) / 2 for loops in (raw, quality.cleaned))
    assert 0.01 < quality.n_spikes.sum() / raw.size < 0.03
    largest = np.argsort(-area)[:25]
    touched = (quality.n_spikes[largest] > 0) | ~quality.valid[largest]
    assert touched.all()  # the raw top 1 % are failed fits
    assert 0.85 < quality.valid.mean() < 0.95
    kept = clean_area[quality.valid]
    assert np.percentile(kept, 99) / np.median(kept) < 20
    assert np.percentile(area, 99) / np.median(area) > 40
