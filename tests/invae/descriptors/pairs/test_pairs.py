"""Patches lie about the place of their own spectrum; spectra that are no pairs are named with the reason."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae.config import IngestConfig, PlasmonsConfig
from invae.config.spectra import GateConfig, GridPlaceConfig, PairsConfig
from invae.descriptors.patches import offsets
from invae.descriptors.spectra import gate
from invae.dims import attrs, meanings
from invae.errors import ConfigError, InputError
from invae.readers.ingest import ingest
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.synthetic import plasmons
from invae.training.signal_sources import open_signals
from tests.invae.descriptors.conftest import Describe
from tests.invae.descriptors.pairs.conftest import (
    ENERGY,
    PIXEL,
    Write,
    axis,
    grid,
    image_of,
    noisy,
    peak,
    points,
)


def opened(path: Path) -> tuple[xr.Dataset, xr.Dataset]:
    return store.open_store(path).load(), store.open_store(path, group="excluded").load()


def seen_at(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """The patches about places (site,), from the formula."""
    steps = offsets(window)
    return image_of(y[:, None, None] + steps[:, None], x[:, None, None] + steps)


def test_a_patch_of_a_grid_is_centred_on_the_pixel_of_its_spectrum(write: Write, described: Describe) -> None:  # fmt: skip
    sites, excluded = opened(described(write(*grid()), PairsConfig(window=5)))
    assert sites.sizes["site"] == 6 * 8
    y, x = sites["y"].to_numpy(), sites["x"].to_numpy()
    np.testing.assert_array_equal(sites["grid_row"], y)
    np.testing.assert_allclose(sites["patch"][:, 0], seen_at(y, x, 5), atol=1e-4)
    np.testing.assert_allclose(ENERGY[sites["spectrum"].argmax("energy")], 1.4 + 0.01 * x, atol=0.04)  # fmt: skip
    np.testing.assert_allclose(sites["x_nm"], PIXEL * x)
    assert {gate.ALL_REASONS[code] for code in excluded["reason"].to_numpy()} == {"outside image"}
    assert sites.attrs["n_excluded"] == {"outside image": 120 - 48}
    assert meanings(sites["kind"].attrs)[int(sites["kind"][0])] == "pair"


def test_a_patch_lies_about_the_sub_pixel_place_of_its_own_point(write: Write, described: Describe) -> None:  # fmt: skip
    rng = np.random.default_rng(3)
    places, frames = rng.uniform(12, 27, (30, 2)), np.repeat([0, 1, 2], 10)
    sites, _ = opened(described(write(*points(places, frames=frames)), PairsConfig(window=8)))
    np.testing.assert_allclose(np.stack((sites["y"], sites["x"]), 1), places)
    expected = seen_at(places[:, 0], places[:, 1], 8) + 5 * frames[:, None, None]
    np.testing.assert_allclose(sites["patch"][:, 0], expected, atol=2e-4)
    np.testing.assert_array_equal(sites["specimen"], frames + 7)
    np.testing.assert_array_equal(sites["frame"], frames)


@pytest.mark.parametrize("angle", [0.0, 30.0, -90.0])
def test_a_grid_is_placed_on_the_survey_by_the_settings(write: Write, described: Describe, angle: float) -> None:  # fmt: skip
    path = write(*with_survey())
    place = GridPlaceConfig(origin=(30.0, 31.0), step=(1.5, 0.75), angle=angle)
    sites, _ = opened(described(path, PairsConfig(window=6, grid_to_image=place)))
    turn, row, column = np.deg2rad(angle), sites["grid_row"].to_numpy(), sites["grid_column"].to_numpy()  # fmt: skip
    y = 30 + 1.5 * row * np.cos(turn) - 0.75 * column * np.sin(turn)
    x = 31 + 0.75 * column * np.cos(turn) + 1.5 * row * np.sin(turn)
    np.testing.assert_allclose(np.stack((sites["y"], sites["x"])), np.stack((y, x)))
    np.testing.assert_allclose(sites["patch"][:, 0], seen_at(y, x, 6), atol=2e-3)


def test_a_grid_turned_by_a_quarter_on_the_survey_runs_as_rot90(write: Write, described: Describe) -> None:  # fmt: skip
    place = GridPlaceConfig(origin=(30, 30), step=(1, 1), angle=90)
    sites, _ = opened(described(write(*with_survey()), PairsConfig(window=4, grid_to_image=place)))
    turned = np.rot90(np.arange(120).reshape(10, 12))
    number = sites["grid_row"] * 12 + sites["grid_column"]
    y, x = sites["y"].to_numpy().round().astype(int), sites["x"].to_numpy().round().astype(int)
    np.testing.assert_array_equal(turned[y - y.min(), x - x.min()], number)


def with_survey(**place: object) -> tuple[dict, dict]:
    variables, coords = grid(image=False)
    y, x = np.indices((64, 60), float)
    variables["survey"] = (("survey_y", "survey_x"), image_of(y, x), attrs("survey") | place)
    for name, n in (("survey_y", 64), ("survey_x", 60)):
        coords[name] = axis(name, np.arange(n) * 1.0, "nm")
    return variables, coords


def test_a_grid_and_a_survey_with_a_place_in_the_file_need_no_settings(write: Write, described: Describe) -> None:  # fmt: skip
    own = {"grid_centre_nm": [100.0, 50.0], "grid_size_nm": [64.0, 60.0], "grid_angle_deg": 90.0}
    there = {"grid_centre_nm": [96.0, 54.0], "grid_size_nm": [20.0, 24.0], "grid_angle_deg": 90.0}
    sites, _ = opened(described(write(*with_survey(**own), **there), PairsConfig(window=4)))
    # 4 nm up and 4 nm right of the survey's centre, seen by a survey that is turned as np.rot90
    first = np.array([31.5 + 4 - 10 + 1, 29.5 + 4 - 12 + 1])
    np.testing.assert_allclose([sites["y"][0], sites["x"][0]], first)
    np.testing.assert_allclose([sites["y"][13], sites["x"][13]], first + 2)


def test_a_grid_lies_between_its_edges_on_the_survey(write: Write, described: Describe) -> None:
    """10 × 12 spectra between rows 10 and 50 and columns 6 and 54: four pixels per spectrum, the first centred on 1.5 px from the corner."""
    sites, _ = opened(described(write(*with_survey(grid_rectangle_px=[10, 6, 50, 54])), PairsConfig(window=4)))  # fmt: skip
    np.testing.assert_allclose([sites["y"][0], sites["x"][0]], [11.5, 7.5])
    np.testing.assert_allclose([sites["y"][13], sites["x"][13]], [15.5, 11.5])
    np.testing.assert_allclose([sites["y"][-1], sites["x"][-1]], [47.5, 51.5])


def test_a_grid_without_a_place_on_the_survey_is_refused_with_the_setting(write: Write, described: Describe) -> None:  # fmt: skip
    with pytest.raises(ConfigError, match=r"set describe\.grid_to_image \(origin, step, angle\)$"):
        described(write(*with_survey()), PairsConfig(window=4))


def test_spectra_that_cannot_be_used_are_no_pairs(write: Write, described: Describe) -> None:
    variables, places = grid()
    spectra = variables["eels"][1]
    spectra[5, 5], spectra[6, 6, 3] = 4.0, np.nan
    sites, excluded = opened(described(write(variables, places), PairsConfig(window=3)))
    assert sites.attrs["n_excluded"] == {"not finite": 1, "constant": 1, "outside image": 40}
    columns = (excluded[name].to_numpy().astype(int).tolist() for name in ("y", "x", "reason"))
    by_place = {(y, x): reason for y, x, reason in zip(*columns, strict=True)}
    assert gate.ALL_REASONS[by_place[5, 5]] == "constant"
    assert gate.ALL_REASONS[by_place[6, 6]] == "not finite"
    assert not {(5, 5), (6, 6)} & set(zip(sites["y"].to_numpy(), sites["x"].to_numpy(), strict=True))  # fmt: skip
    assert any("118 of 120 spectra valid (1 not finite, 1 constant)" in n for n in sites.attrs["notes"])  # fmt: skip
    np.testing.assert_allclose(sites["spectrum_sd"].median(), 0.01, rtol=0.3)


def test_spectra_are_cropped_binned_and_scaled_with_their_noise_and_truth(write: Write, described: Describe) -> None:  # fmt: skip
    variables, places = grid()
    clean = 3 * peak(1.4 + 0.01 * np.indices((10, 12))[1])
    variables["eels"] = (variables["eels"][0], noisy(clean, sd=0.03).astype(np.float32), attrs("eels", "count"))  # fmt: skip
    variables["truth_eels"] = (variables["eels"][0], clean.astype(np.float32), attrs("eels", "count"))  # fmt: skip
    changes = {"axis_range": (1.1, 1.9), "axis_bin": 2, "normalise": "max", "window": 3}
    sites, _ = opened(described(write(variables, places), PairsConfig.model_validate(changes)))
    kept = ENERGY[(ENERGY >= 1.1) & (ENERGY <= 1.9)][:24].reshape(12, 2).mean(1)
    np.testing.assert_allclose(sites["energy"], kept)
    assert sites["spectrum"].attrs["units"] == "1"
    np.testing.assert_allclose(np.abs(sites["spectrum"].to_numpy()).max(1), 1, rtol=1e-6)
    error = sites["spectrum"] - sites["truth_spectrum"]
    assert float(np.sqrt((error**2).mean())) == pytest.approx(0.03 / 3 / 2**0.5, rel=0.15)
    assert float(sites["spectrum_sd"].median()) == pytest.approx(0.03 / 3 / 2**0.5, rel=0.6)


def test_the_area_of_a_spectrum_normalised_by_its_area_is_one(write: Write, described: Describe) -> None:  # fmt: skip
    config = PairsConfig(window=3, normalise="area")
    sites, _ = opened(described(write(*grid()), config))
    area = np.abs(sites["spectrum"].to_numpy()).sum(1) * (ENERGY[1] - ENERGY[0])
    np.testing.assert_allclose(area, 1, rtol=1e-5)
    assert sites["spectrum"].attrs["units"] == "1/eV"


def test_training_reads_images_and_spectra_side_by_side(write: Write, described: Describe) -> None:
    path = described(write(*grid()), PairsConfig(window=4))
    source = open_signals(path, signals=("image", "spectrum"))
    assert source.geometries["image"].height == 4
    assert (source.geometries["spectrum"].height, source.geometries["spectrum"].width) == (1, 33)
    batch, places = source.load(np.array([3]))
    taken = batch.take(places)
    sites = store.open_store(path)
    np.testing.assert_array_equal(taken["spectrum"].values[0, 0, 0], sites["spectrum"][3])


@pytest.mark.parametrize("image", ["sum", None])
def test_the_sum_of_the_spectra_is_the_image_if_asked_for_or_if_there_is_no_other_and_says_so(
    write: Write, described: Describe, image: str | None
) -> None:
    path = write(*grid(image=False))
    sites, _ = opened(described(path, PairsConfig.model_validate({"window": 3, "image": image})))
    assert sites.attrs["image"] == "sum"
    assert any("there is no image" in n for n in sites.attrs["notes"]) == (image is None)
    total = store.open_store(path)["eels"].sum("energy").to_numpy()
    np.testing.assert_allclose(sites["patch"][0, 0], total[:3, :3], rtol=1e-5)
    assert any("shares the noise" in note for note in sites.attrs["notes"])


def test_points_without_an_image_are_refused(write: Write, described: Describe) -> None:
    variables, coords = points(np.full((3, 2), 20.0) + np.arange(3)[:, None])
    del variables["haadf"]
    with pytest.raises(InputError, match="has no image beside its spectra; give the file of the image"):  # fmt: skip
        described(write(variables, coords), PairsConfig(window=4))


@pytest.mark.parametrize(("is_calibrated", "window"), [(True, 4), (False, 5)])
def test_a_window_in_nanometres_is_one_in_pixels_where_the_image_has_no_pixel_size(
    write: Write, described: Describe, is_calibrated: bool, window: int
) -> None:
    variables, places = grid((12, 10))
    path = write(variables, places if is_calibrated else {})
    sites, _ = opened(described(path, PairsConfig(window=16, window_nm=8.0)))
    assert sites.attrs["window"] == window
    told = any("the window is 5 px instead of 8 nm" in note for note in sites.attrs["notes"])
    assert told != is_calibrated


def test_constant_images_are_no_channels_unless_named(write: Write, described: Describe) -> None:
    variables, places = grid()
    flat = np.ones((1, 10, 12))
    variables["flat"] = (("frame", "y", "x"), flat, attrs("flat") | {"actual_range": [1.0, 1.0]})
    path = write(variables, places)
    sites, _ = opened(described(path, PairsConfig(window=3)))
    assert sites["channel"].to_numpy().tolist() == ["haadf"]
    sites, _ = opened(described(path, PairsConfig(window=3, channels=("flat", "haadf"))))
    assert sites["channel"].to_numpy().tolist() == ["flat", "haadf"]


def test_a_killed_run_continues_and_gives_the_same_store(
    write: Write, described: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BLOCK_VALUES", 33 * 30)
    monkeypatch.setattr("invae.descriptors.layout.PATCH_BYTES", 4 * 33 * 20)
    path, config = write(*grid()), PairsConfig(window=4)
    whole, _ = opened(described(path, config, name="whole"))

    class Killed(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 70:
            raise Killed

    with pytest.raises(Killed):
        described(path, config, name="again", progress=stop)
    monkeypatch.setattr(gate, "assess", lambda *a, **k: pytest.fail("judged twice"))
    again, _ = opened(described(path, config, name="again"))
    xr.testing.assert_identical(whole.drop_attrs(), again.drop_attrs())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"spectrum": "eelss"}, ConfigError, "describe.spectrum names 'eelss'; the recording has eels"),
        ({"channels": ("bf",)}, ConfigError, "describe.channels names 'bf'; the images are haadf"),
        ({"window": 11}, ConfigError, "describe.window is 11 px; choose 2 to 10 px"),
        ({"window_nm": 50}, ConfigError, "describe.window_nm 50 is 25 px of 2 nm; choose 4 to 20 nm"),
        ({"window": 10}, InputError, "0 of 120 valid spectra have a window of 10 px inside the image"),
        ({"axis_range": (5.0, 6.0)}, ConfigError, "keeps 0 of 33 values; energy runs from 1 to 2 eV"),
        ({"axis_bin": 20}, ConfigError, "describe.axis_bin 20 leaves 1 of 33 values"),
        ({"image": "survey"}, InputError, "has no survey beside its spectra"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(
    write: Write, described: Describe, changes: dict, error: type, message: str
) -> None:
    config = PairsConfig.model_validate({"window": 3, **changes})
    path = write(*grid(shape=(10, 12)))
    with pytest.raises(error) as refused:
        described(path, config)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("n_valid", [0, 1])
def test_fewer_than_two_usable_spectra_are_refused_with_the_reasons(write: Write, described: Describe, n_valid: int) -> None:  # fmt: skip
    spectra = np.full((4, 4, len(ENERGY)), np.nan)
    spectra[0, :n_valid] = noisy(peak(np.array(1.5)))
    with pytest.raises(InputError, match=rf"{n_valid} of 16 spectra of eels can be used \({16 - n_valid} not finite\)"):  # fmt: skip
        described(write(*grid((4, 4), spectra=spectra)), PairsConfig(window=2))


def test_a_recording_without_spectra_is_refused(write: Write, described: Describe) -> None:
    variables, places = grid()
    del variables["eels"]
    with pytest.raises(InputError, match=r"holds no spectra \(y, x, axis\) or \(point, axis\) but"):
        described(write(variables, places), PairsConfig(window=3))


def test_a_reason_can_be_kept(write: Write, described: Describe) -> None:
    spectra = noisy(peak(np.full((8, 8), 1.5)))
    spectra[4, 4] *= 50
    path = write(*grid((8, 8), spectra=spectra))
    sites, _ = opened(described(path, PairsConfig(window=3)))
    assert sites.attrs["n_excluded"]["amplitude"] == 1
    config = PairsConfig(window=3, gate=GateConfig(keep=("amplitude",)))
    sites, _ = opened(described(path, config))
    assert "amplitude" not in sites.attrs["n_excluded"]


def test_points_in_nanometres_need_images_with_a_pixel_size(write: Write, described: Describe) -> None:  # fmt: skip
    variables, coords = points(np.full((3, 2), 20.0) + np.arange(3)[:, None])
    for name in "yx":
        coords[name] = axis(name, np.arange(40), "pixel")
    with pytest.raises(InputError, match=r"images have no pixel size; set ingest\.pixel_size"):
        described(write(variables, coords), PairsConfig(window=4))


def test_simulated_plasmons_become_pairs_with_their_truth(tmp_path: Path, described: Describe) -> None:  # fmt: skip
    few = {"n_assemblies": 2, "n_probes": 6, "extent": 100, "reach": 20, "pixels": 48, "n_energies": 16}  # fmt: skip
    source = tmp_path / "sample.zarr"
    plasmons.simulate(source, config=PlasmonsConfig.model_validate({"sample": few}), seed=2)
    recording = tmp_path / "sample" / "recording.zarr"
    receipt = Receipt("ingest", "k" * 32, "sample", (), {}, {}, "hash", 0, "code")
    ingest([source], recording, config=IngestConfig(), receipt=receipt)
    sites, _ = opened(described(recording, PairsConfig(window=12)))
    simulated, truth = (store.open_store(source, group=group).load() for group in ("", "truth"))
    assert sites.sizes["site"] == 12
    np.testing.assert_array_equal(sites["truth_spectrum"], truth["spectrum"])
    np.testing.assert_array_equal(sites["truth_spectrum_sd"], truth["spectrum_sd"])
    np.testing.assert_array_equal(sites["truth_n_particles"], np.repeat(truth["n_particles"], 6))
    np.testing.assert_array_equal(sites["specimen"], simulated["specimen"])
    np.testing.assert_allclose(sites["y_nm"], simulated["point_y_nm"])
    assert sites["spectrum"].attrs["units"] == "1/eV"
