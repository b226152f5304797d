"""The library of finished runs: the nearest spectra with their patches and places, and what is refused."""

import numpy as np
import pytest
import xarray as xr

from invae.errors import ConfigError, InputError, StoreError
from invae.results import library
from tests.invae.results.library_runs import CENTRES, ENERGY, HEIGHTS, N_SITES, lorentzians, run_of


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("library") / "one")


def test_the_nearest_maxima_come_with_their_patches_and_places(one):
    found = library.find([one], peak=0.81, number=4)
    strong = np.flatnonzero(HEIGHTS == 1)
    expected = strong[np.argsort(np.abs(CENTRES[strong] - 0.81))[:4]]
    np.testing.assert_array_equal(found["number"], expected)
    np.testing.assert_allclose(found["value"], CENTRES[expected], atol=2e-3)
    np.testing.assert_allclose(found["distance"], np.abs(found["value"] - 0.81))
    np.testing.assert_array_equal(found["patch"][:, 0, 0, 0], expected)
    np.testing.assert_array_equal(found["x_nm"], 50 + 2.5 * expected)
    assert found["value"].attrs["units"] == "eV"
    assert found["patch"].dims == ("site", "channel", "patch_y", "patch_x")


def test_weak_spectra_and_maxima_at_an_end_are_not_found_by_their_maximum(tmp_path):
    rising = lorentzians()
    rising[1:5] = np.linspace(0, 5, len(ENERGY))
    found = library.find([run_of(tmp_path / "one", spectra=rising)], peak=ENERGY[-1], number=30)
    assert 0 < found.sizes["site"] < N_SITES
    assert not set(found["number"].to_numpy()) & {*range(5), *np.flatnonzero(HEIGHTS < 1)}


def test_the_nearest_integrals_have_the_unit_of_the_integral(one):
    area = np.trapezoid(lorentzians(), ENERGY, axis=1)
    found = library.find([one], band=float(area[7]), number=3)
    assert found["number"][0] == 7
    np.testing.assert_allclose(found["value"][0], area[7])
    np.testing.assert_allclose(found["predicted_value"][0], 2 * area[7])
    assert found["value"].attrs["units"] == "1"


def test_a_like_spectrum_is_compared_by_its_relative_error(one):
    wanted = xr.DataArray(lorentzians()[12], coords={"energy": ENERGY}, dims="energy")
    found = library.find([one], like=wanted, number=2)
    assert found["number"][0] == 12
    np.testing.assert_allclose(found["distance"][0], 0, atol=1e-6)
    np.testing.assert_allclose(found["predicted_value"][0], 1)  # predictions are twice the spectra
    np.testing.assert_allclose(found["wanted"], wanted, rtol=1e-6)
    s = wanted.to_numpy()
    second = lorentzians()[int(found["number"][1])]
    np.testing.assert_allclose(
        found["distance"][1], np.linalg.norm(second - s) / np.linalg.norm(s), rtol=1e-6
    )


def test_several_runs_are_searched_together(one, tmp_path):
    runs = [one, run_of(tmp_path / "two")]
    found = library.find(runs, peak=0.9, number=4)
    assert sorted(set(found["recording"].to_numpy())) == ["one", "two"]
    assert (np.diff(found["distance"]) >= 0).all()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"axis": ENERGY + 0.1}, "two has the axis energy 0.6–1.3 eV in 71 channels, one has"),
        ({"axis": ENERGY, "units": "meV"}, "give runs with one axis"),
        ({"value_units": "1"}, "spectra of two are in 1, those of one in 1/eV"),
        ({"window": 8}, "patches of two are 1 × 8 × 8"),
        ({"kind": "spectra"}, "two has no pairs but spectra"),
    ],
)
def test_runs_that_differ_are_refused(one, tmp_path, other, words):
    runs = [one, run_of(tmp_path / "two", **other)]
    with pytest.raises(InputError, match=words):
        library.find(runs, peak=0.81)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"peak": 1.4}, r"peak 1.4 eV is outside the axis energy 0.5–1.2 eV"),
        ({"band": float("nan")}, "band nan is not a number"),
        ({"like": xr.DataArray(np.ones(5), dims="axis")}, "has 5 values over"),
        ({"like": xr.DataArray(np.zeros(71), dims="axis")}, "is 0, or"),
        ({"like": xr.DataArray(np.ones(71), {"energy": 2 * ENERGY}, dims="energy")}, "another axis"),
        ({"like": xr.DataArray(np.ones(71), dims="axis", attrs={"units": "nm"})}, "is in nm"),
    ],
)  # fmt: skip
def test_what_no_spectrum_can_have_is_refused(one, question, words):
    with pytest.raises(InputError, match=words):
        library.find([one], **question)


def test_loops_have_an_area_but_no_single_maximum(tmp_path):
    up = np.linspace(-4, 4, 35)
    bias = np.r_[up, up[::-1]]
    size = np.linspace(1, 2, N_SITES)[:, None]
    loops = size * np.tanh(bias - 1.5 * np.repeat([1, -1], 35))
    folder = run_of(
        tmp_path / "loops", axis=bias, name="voltage", units="V", value_units="pm", spectra=loops
    )
    with pytest.raises(InputError, match="spectra of loops are loops"):
        library.find([folder], peak=1.0)
    area = np.trapezoid(loops, bias, axis=1)
    found = library.find([folder], band=float(area[4]), number=1)
    assert int(found["number"][0]) == 4
    assert found["value"].attrs["units"] == "pm*V"


def test_one_thing_is_wanted_of_a_finished_run(one, tmp_path):
    with pytest.raises(ConfigError, match="peak and band is wanted"):
        library.find([one], peak=0.8, band=1.0)
    with pytest.raises(ConfigError, match="nothing is wanted"):
        library.find([one])
    with pytest.raises(StoreError):
        library.find([tmp_path / "two"], peak=0.8)


def test_a_spectrum_is_read_from_netcdf_zarr_and_tables(tmp_path):
    from invae.results.netcdf import write_labelled

    values = lorentzians()[3]
    of_place = xr.Dataset(
        {n: (("site", "energy"), f * values[None]) for n, f in (("mean", 1.0), ("lower", 0.5))},
        coords={"energy": ENERGY},
    )
    for suffix in (".nc", ".zarr"):
        write_labelled(of_place, tmp_path / f"place{suffix}")
    table = "\n".join(f"{e},{v}" for e, v in zip(ENERGY, values, strict=True))
    (tmp_path / "plain.csv").write_text(table)
    (tmp_path / "named.csv").write_text("energy [eV],loss\n" + table)
    for name in ("place.nc", "place.zarr", "plain.csv", "named.csv"):
        spectrum = library.read_spectrum(tmp_path / name)
        np.testing.assert_allclose(spectrum, values)
        np.testing.assert_allclose(spectrum[spectrum.dims[0]], ENERGY)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.csv", None, "does not exist"),
        ("three.csv", "1,2,3\n4,5,6\n", "no table of two columns"),
        ("words.csv", "a,b\nc,d\n", "no table of two columns"),
        ("broken.nc", "nothing", "cannot be read"),
    ],
)
def test_a_file_without_a_spectrum_is_named(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        library.read_spectrum(tmp_path / name)
