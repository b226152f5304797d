"""A simulated PFM series: what its truth says is what its frames show."""

import json

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from scipy import ndimage

from invae.config import DomainsConfig
from invae.storage import store
from invae.synthetic import domains
from invae.synthetic.domain_frames import applied_field, drift_path, interpolate
from invae.synthetic.domains import simulate, simulate_dataset
from invae.synthetic.lamellae import Family, with_tips
from invae.synthetic.landau import wall_speed
from invae.synthetic.sample import window

QUIET = {"scars": 0.0, "tip_loss": 0.0}


def small(**changes) -> DomainsConfig:
    return DomainsConfig.model_validate({"rows": 64, "columns": 64, "n_frames": 6, **changes})


@pytest.fixture(scope="module")
def series() -> tuple[xr.Dataset, xr.Dataset]:
    return simulate_dataset(small(n_frames=12, probe={"drift": 2.5, **QUIET}), 3)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in "ab":
        simulate(tmp_path / f"{name}.zarr", config=small(), seed=7)
    files = sorted(
        p.relative_to(tmp_path / "a.zarr") for p in (tmp_path / "a.zarr").rglob("c/**/*")
    )
    chunks = [p for p in files if (tmp_path / "a.zarr" / p).is_file()]
    assert len(chunks) > 10
    for chunk in chunks:
        one, other = (tmp_path / f"{name}.zarr" / chunk for name in "ab")
        assert one.read_bytes() == other.read_bytes(), chunk


def test_another_seed_gives_other_domains_and_other_noise():
    (one, truth), (other, other_truth) = (
        simulate_dataset(small(n_frames=2), seed) for seed in (1, 2)
    )
    assert (truth["wall"] != other_truth["wall"]).mean() > 0.02
    assert not np.array_equal(one["height"], other["height"])


def test_a_store_holds_what_the_series_in_memory_holds(tmp_path):
    simulate(tmp_path / "series.zarr", config=small(), seed=5)
    for group, expected in zip(("", "truth"), simulate_dataset(small(), 5), strict=True):
        xr.testing.assert_equal(store.open_store(tmp_path / "series.zarr", group=group), expected)


def test_a_killed_run_goes_on_to_the_same_values(tmp_path, monkeypatch):
    monkeypatch.setattr(domains, "SHARD_BYTES", 2 * 64 * 64 * 4)
    config = small()

    class Killed(BaseException): ...

    def kill(done: int, total: int) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        simulate(tmp_path / "series.zarr", config=config, seed=5, progress=kill)
    assert not (tmp_path / "series.zarr").exists()
    simulate(tmp_path / "series.zarr", config=config, seed=5)
    for group, expected in zip(("", "truth"), simulate_dataset(config, 5), strict=True):
        xr.testing.assert_equal(store.open_store(tmp_path / "series.zarr", group=group), expected)
    assert not (tmp_path / "series.zarr" / domains.STATES).exists()


def test_the_store_says_how_it_was_made(tmp_path):
    simulate(tmp_path / "series.zarr", config=small(n_frames=2), seed=5)
    receipt = store.read_receipt(tmp_path / "series.zarr")
    assert receipt is not None
    assert (receipt.stage, receipt.seed, receipt.recording) == ("simulate", 5, "series")
    truth = store.open_store(tmp_path / "series.zarr", group="truth")
    assert json.loads(truth.attrs["settings"])["config"]["n_frames"] == 2


def test_every_variable_says_what_it_is(series):
    for dataset in series:
        for name, variable in dataset.data_vars.items():
            assert variable.attrs["long_name"], name
            assert variable.attrs["units"], name


@pytest.mark.parametrize("snr", [5.0, 20.0])
def test_the_noise_is_what_was_asked_for(snr):
    probe = {"snr": snr, "background": 0.0, "tip_sd": 0.0, **QUIET}
    recording, truth = simulate_dataset(small(n_frames=2, probe=probe), 11)
    response = recording["amplitude"] * np.exp(1j * (recording["phase"] - 0.6))
    rest = response.to_numpy() / 100 - truth["polarization"].to_numpy()
    for quadrature in (rest.real, rest.imag):
        assert quadrature.mean() == pytest.approx(0, abs=0.05 / snr)
        assert quadrature.std() == pytest.approx(1 / snr, rel=0.03)


def test_drift_is_what_brings_the_frames_onto_the_first(series):
    recording, truth = series
    height = recording["height"].to_numpy()

    def likeness(frame: int, drift: np.ndarray) -> float:
        back = ndimage.shift(height[frame], drift, order=1)[23:-23, 23:-23]
        return float(np.corrcoef(back.ravel(), height[0, 23:-23, 23:-23].ravel())[0, 1])

    for frame, drift in enumerate(truth["drift"].to_numpy()):
        here = likeness(frame, drift)
        assert here > 0.9
        for off in ((0.7, 0), (-0.7, 0), (0, 0.7), (0, -0.7)):
            assert here > likeness(frame, drift + off)


def test_lamellae_drift_with_the_sample(series):
    _, truth = series
    masks = truth["non180"].to_numpy()
    drift = truth["drift"].to_numpy()
    frame = int(np.argmax(np.hypot(*drift.T)))
    moved = ndimage.shift(masks[frame].astype(float), drift[frame], order=1, cval=np.nan)
    seen = np.isfinite(moved) & (np.abs(moved - 0.5) > 0.45)
    assert (masks[0][seen] == (moved[seen] > 0.5)).mean() > 0.98


def test_drift_steps_are_bounded_and_begin_at_zero():
    config = small(n_frames=400, probe={"drift": 3.0})
    path = drift_path(config, 1)
    steps = np.hypot(*np.diff(path, axis=0).T)
    np.testing.assert_array_equal(path[0], 0)
    assert steps.max() <= 3.0 + 1e-9
    assert steps.max() > 2.5
    assert np.abs(path).max() <= config.margin - 12


def test_a_longer_series_begins_like_a_shorter_one():
    short, _ = simulate_dataset(small(n_frames=2), 4)
    long, _ = simulate_dataset(small(n_frames=3), 4)
    xr.testing.assert_equal(long.isel(frame=slice(2)), short)


def test_lines_are_recorded_one_after_the_other():
    """Walls move while a frame is scanned: row y shows each of them y/rows of a frame's way further than row 0."""
    field = 0.2
    bare = {
        "start": "stripes", "domain_size": 32, "pins": {"density": 0}, "lamellae": {"enabled": False},
        "bias_sd": 0, "depolarization": 0, "nucleation": 0,
    }  # fmt: skip
    positive, walls = {}, {}
    for skew in (False, True):
        config = small(
            n_frames=2,
            sample=bare,
            probe={"drift": 0, "row_skew": skew, **QUIET},
            field={"waveform": "constant", "amplitude": field},
        )
        up = simulate_dataset(config, 2)[1]["polarization"].to_numpy()[1] > 0
        positive[skew], walls[skew] = up.sum(axis=1), np.diff(up.astype(int), axis=1)
    grown = positive[True] - positive[False]
    speed = wall_speed(field, steps_per_frame=config.steps_per_frame)
    same = (np.abs(walls[True]).sum(axis=1) == np.abs(walls[False]).sum(axis=1)) & (grown >= 0)
    expected = np.abs(walls[True]).sum(axis=1) * speed * np.arange(64) / 64
    assert same.sum() > 30
    assert np.abs(grown[:8]).max() <= 2
    assert np.polyfit(expected[same], grown[same], 1)[0] == pytest.approx(1, abs=0.25)


def test_scarred_and_lost_lines_are_those_of_the_truth():
    config = small(n_frames=10, probe={"scars": 2.0, "tip_loss": 0.5, "snr": 20.0, "drift": 0.0})
    recording, truth = simulate_dataset(config, 8)
    amplitude = recording["amplitude"].to_numpy()
    lost = truth["tip_loss"].to_numpy()
    scar = truth["scar"].to_numpy()
    assert lost.any()
    assert scar.any()
    medians = np.median(amplitude, axis=2)  # 100 pm in a domain
    assert medians[lost].max() < 10
    assert medians[scar].max() < 40
    assert (medians[~(lost | scar)] > 40).mean() > 0.97


def test_walls_lie_where_the_polarization_changes_sign(series):
    """Of two neighbours of opposite sign the one nearer to the zero line is wall, and no other pixel is."""
    _, truth = series
    p, wall = truth["polarization"].to_numpy(), truth["wall"].to_numpy()
    inside = truth["non180"].to_numpy()
    beside = np.zeros(p.shape, bool)
    for axis in (1, 2):
        (before, after), (wall_before, wall_after) = (
            (np.delete(image, -1, axis), np.delete(image, 0, axis)) for image in (p, wall)
        )
        crosses = (before > 0) != (after > 0)
        same = np.delete(inside, -1, axis) == np.delete(inside, 0, axis)  # as strong on both sides
        nearer = np.where(np.abs(before) <= np.abs(after), wall_before, wall_after)
        assert nearer[crosses & same].all()
        assert crosses.any()
        pad = [(0, 0)] * 3
        for ends in ((0, 1), (1, 0)):
            pad[axis] = ends
            beside |= np.pad(crosses, pad)
    assert not wall[:, 1:-1, 1:-1][~beside[:, 1:-1, 1:-1]].any()


def test_lamellae_respond_less():
    recording, truth = simulate_dataset(small(n_frames=1, probe={"snr": 30.0, **QUIET}), 3)
    inside = ndimage.binary_erosion(truth["non180"].to_numpy()[0], iterations=2)
    amplitude = recording["amplitude"].to_numpy()[0]
    assert np.median(amplitude[inside]) < 0.6 * np.median(amplitude)


@pytest.mark.parametrize("start", ["labyrinth", "stripes", "nuclei"])
@pytest.mark.parametrize("shape", [(48, 80), (80, 48)])
def test_every_start_gives_walls_in_frames_of_any_shape(start, shape):
    rows, columns = shape
    config = small(
        rows=rows, columns=columns, n_frames=1, sample={"start": start, "domain_size": 10}
    )
    recording, truth = simulate_dataset(config, 1)
    assert recording["phase"].shape == (1, rows, columns)
    assert truth["wall"].to_numpy().any()
    assert all(np.isfinite(recording[name]).all() for name in recording.data_vars)


def test_long_series_keep_their_walls():
    _, truth = simulate_dataset(small(n_frames=60), 1)
    assert (truth["wall"].to_numpy().sum(axis=(1, 2)) > 0).all()


def test_fields_alternate():
    field = small(field={"waveform": "square", "amplitude": 0.2, "period": 4, "offset": 0.05}).field
    np.testing.assert_allclose(
        [applied_field(field, t) for t in range(5)], [0.25, 0.25, -0.15, -0.15, 0.25]
    )


def test_interpolation_and_window_agree_on_a_smooth_image():
    y, x = np.indices((32, 40))
    image = np.sin(2 * np.pi * (y / 32 + 2 * x / 40))
    corner = np.array([3.3, -4.75])
    exact = np.sin(2 * np.pi * ((y[:8, :9] + 3.3) / 32 + 2 * (x[:8, :9] - 4.75) / 40))
    np.testing.assert_allclose(window(image, corner, (8, 9)), exact, atol=1e-6)
    np.testing.assert_allclose(
        interpolate(image, np.arange(8) + 3.3, np.arange(9) - 4.75), exact, atol=2e-3
    )


def test_lamellae_wider_than_their_gaps_are_refused():
    with pytest.raises(
        ValidationError, match=r"width 30.0 px must be below half of lamellae.period 40.0"
    ):
        small(sample={"lamellae": {"width": 30, "period": 40}})


UNCLEAN = {
    "families": [
        {"angle": 100, "period": 30, "width": 7, "needle": 20},
        {"angle": 20, "period": 26, "width": 5, "response": -0.2},
    ],
    "grain_contrast": 0.6,
    "grain_groove": 0.4,
    "dust": 40,
}


def test_settings_at_their_defaults_are_not_in_the_receipt():
    dump = json.dumps(small().model_dump(mode="json"))
    assert not any(name in dump for name in ("families", "grain_c", "dust", "line_", "phase_drift"))
    assert "families" in json.dumps(small(sample=UNCLEAN).model_dump(mode="json"))


def test_further_families_are_in_the_truth_with_their_edges():
    clean, truth = (
        simulate_dataset(small(n_frames=1, sample=sample), 5)[1]
        for sample in ({}, {"families": UNCLEAN["families"]})
    )
    more, fewer = truth["non180"].to_numpy()[0], clean["non180"].to_numpy()[0]
    assert (more | ~fewer).all()
    assert more.sum() > 1.3 * fewer.sum()
    edge = truth["non180_edge"].to_numpy()[0]
    border = np.logical_and(ndimage.binary_dilation(more), ndimage.binary_dilation(~more))
    assert border[edge].mean() > 0.9
    assert np.asarray(ndimage.binary_dilation(edge))[border & more].mean() > 0.9


def test_grains_and_dust_change_the_response_and_no_wall():
    unclean = {name: UNCLEAN[name] for name in ("grain_contrast", "grain_groove", "dust")}
    (clean, same), (spotted, truth) = (
        simulate_dataset(small(n_frames=1, sample=sample, probe={"snr": 100, **QUIET}), 5)
        for sample in ({}, unclean)
    )
    np.testing.assert_array_equal(truth["wall"], same["wall"])
    np.testing.assert_array_equal(truth["polarization"], same["polarization"])
    ratio = (spotted["amplitude"] / clean["amplitude"]).to_numpy()
    assert np.percentile(ratio, 5) < 0.6
    assert ratio.max() > 1.5


def test_lines_differ_in_gain_place_and_phase_as_the_truth_says():
    probe = {"snr": 200, "background": 0, **QUIET}
    settings = {"line_gain": 0.1, "line_jumps": 1.5, "phase_drift": 0.4}
    (clean, _), (unclean, truth) = (
        simulate_dataset(small(n_frames=1, probe=probe | more), 6) for more in ({}, settings)
    )
    jump = truth["line_jump"].to_numpy()[0]
    assert np.std(jump) == pytest.approx(1.5, rel=0.3)
    at = np.arange(64)
    gains = []
    for row, shift in enumerate(jump):
        before, after = (one["amplitude"].to_numpy()[0, row] for one in (clean, unclean))
        moved, inside = np.interp(at - shift, at, before), slice(6, -6)
        gains.append(after[inside].mean() / moved[inside].mean())
        assert np.corrcoef(after[inside], moved[inside])[0, 1] > 0.97
    assert 0.08 < np.std(gains) < 0.5
    turned = (unclean["phase"] - clean["phase"]).to_numpy()[0]
    assert 0.1 < np.angle(np.exp(2j * turned).mean(axis=1)).std() / 2 < 0.8


def test_a_needle_ends_in_a_tip():
    family = with_tips(
        Family(0.0, 20.0, 8.0, needle=30.0), extent=40.0, generator=np.random.default_rng(0)
    )
    assert family.tips is not None
    assert family.facing is not None
    along = np.arange(-60.0, 60.0)
    depth = family.depth(np.zeros(len(along)), along)
    beyond = (along - family.tips[0]) * family.facing[0]
    np.testing.assert_allclose(depth[beyond >= 30], 4.0)
    assert (depth[beyond <= 0] < 0).all()
    assert (np.diff(depth * family.facing[0])[np.abs(beyond[1:] - 15) < 10] > 0).all()
