"""Arrays, stores and spectrum images of electron microscopes in the one layout of spectra."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from invae.config import IngestConfig
from invae.errors import InputError
from invae.readers import open_recording
from invae.readers.ingest import ingest, ingest_dataset
from invae.storage import store
from tests.invae.readers.spectra.conftest import loops

RANDOM = np.random.default_rng(7)
ENERGY = 0.4 + 0.01 * np.arange(12)


def pixels(n: int, step: float, dim: str) -> Any:
    return (dim, np.arange(n) * step, {"units": "nm"})


def points() -> xr.Dataset:
    """Spectra at five points of two images, as a simulation stores them."""
    return xr.Dataset(
        {
            "spectrum": (("point", "energy"), loops(1, 5)[0], {"units": "1"}),
            "image": (("frame", "y", "x"), RANDOM.normal(size=(2, 8, 9)).astype("f4")),
        },
        coords={
            "energy": ("energy", ENERGY, {"units": "eV"}),
            "y": pixels(8, 2.0, "y"),
            "x": pixels(9, 2.0, "x"),
            "point_frame": ("point", [0, 0, 1, 1, 1]),
            "point_y_nm": ("point", [1.0, 3.0, 5.0, 7.0, 9.0], {"units": "nm"}),
            "point_x_nm": ("point", [2.0, 2.0, 2.0, 4.0, 6.0], {"units": "nm"}),
            "specimen": ("point", ["dimer", "dimer", "trimer", "dimer", "trimer"]),
        },
    )


def write(dataset: xr.Dataset, path: Path) -> Path:
    if path.suffix == ".nc":
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        store.write_dataset(path, dataset)
    return path


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_points_keep_their_images_places_and_specimens(name: str, tmp_path: Path) -> None:
    made = points()
    recording = open_recording(write(made, tmp_path / name))
    assert recording["spectrum"].dims == ("point", "energy")
    assert recording["image"].dims == ("frame", "y", "x")
    np.testing.assert_array_equal(recording["spectrum"], made["spectrum"])
    np.testing.assert_array_equal(recording["image"], made["image"])
    for place in ("point_frame", "point_y_nm", "point_x_nm"):
        np.testing.assert_array_equal(recording[place], made[place])
        assert recording[place].dims == ("point",)
    np.testing.assert_array_equal(recording["specimen"], [0, 0, 1, 0, 1])
    assert recording["specimen"].attrs["flag_meanings"] == "dimer trimer"


@pytest.mark.parametrize("shard", [1e-5, 32.0])
def test_points_and_images_are_stored_and_come_back(
    shard: float, tmp_path: Path, receipt_for
) -> None:
    path, target = write(points(), tmp_path / "a.zarr"), tmp_path / "recording.zarr"
    ingest([path], target, config=IngestConfig(shard_mb=shard), receipt=receipt_for(path))
    recording, again = open_recording(path), open_recording(target)
    for name in (*recording.data_vars, *recording.coords):
        if name != "source":
            np.testing.assert_array_equal(again[name], recording[name])
            assert again[name].dims == recording[name].dims
    assert again["specimen"].attrs["flag_meanings"] == "dimer trimer"


def test_a_computed_recording_of_points_is_stored(tmp_path: Path, receipt_for) -> None:
    made = points().drop_vars("specimen")
    target = tmp_path / "recording.zarr"
    ingest_dataset(made, target, config=IngestConfig(), receipt=receipt_for())
    np.testing.assert_array_equal(store.open_store(target)["spectrum"], made["spectrum"])


def test_energies_are_electron_volts_whatever_the_file_says(tmp_path: Path) -> None:
    made = points()
    for units, factor in (("meV", 1e3), ("keV", 1e-3)):
        energy = ("energy", ENERGY * factor, {"units": units})
        path = write(made.assign_coords(energy=energy), tmp_path / f"{units}.nc")
        recording = open_recording(path)
        np.testing.assert_allclose(recording["energy"], ENERGY)
        assert recording["energy"].attrs["units"] == "eV"


def test_wavelengths_are_nanometres(tmp_path: Path) -> None:
    made = points().rename(energy="wavelength")
    wavelength = ("wavelength", 0.4 + 0.05 * np.arange(12), {"units": "um"})
    recording = open_recording(write(made.assign_coords(wavelength=wavelength), tmp_path / "a.nc"))
    np.testing.assert_allclose(recording["wavelength"], 400 + 50 * np.arange(12))


def grid(**more: Any) -> xr.Dataset:
    cube = RANDOM.normal(size=(3, 4, 2, 12)).astype("f4")
    return xr.Dataset(
        {"loop": (("y", "x", "cycle", "bias"), cube, {"units": "pm"}), **more},
        coords={
            "y": pixels(3, 5.0, "y"),
            "x": pixels(4, 5.0, "x"),
            "bias": ("bias", np.sin(np.arange(12)), {"units": "V"}),
        },
    )


def test_cycles_follow_each_other_in_one_row(tmp_path: Path) -> None:
    made = grid()
    for name, order in (
        ("slow", ("y", "x", "cycle", "bias")),
        ("fast", ("bias", "cycle", "x", "y")),
    ):
        turned = made.assign(loop=made["loop"].transpose(*order))
        recording = open_recording(write(turned, tmp_path / f"{name}.nc"))
        assert recording["loop"].dims == ("y", "x", "voltage")
        np.testing.assert_array_equal(recording["loop"], made["loop"].values.reshape(3, 4, 24))
        np.testing.assert_array_equal(recording["voltage"], np.tile(made["bias"], 2))
        np.testing.assert_array_equal(recording["cycle"], np.repeat([0, 1], 12))
        assert recording["cycle"].dims == ("voltage",)
        lazy = recording["loop"].variable
        np.testing.assert_array_equal(
            lazy[1:, 2, 20:4:-3], recording["loop"].values[1:, 2, 20:4:-3]
        )


def test_the_coordinates_of_a_row_survive_the_store(tmp_path: Path, receipt_for) -> None:
    path, target = write(grid(), tmp_path / "a.nc"), tmp_path / "recording.zarr"
    ingest([path], target, config=IngestConfig(), receipt=receipt_for(path))
    again = open_recording(target)
    np.testing.assert_array_equal(again["cycle"], np.repeat([0, 1], 12))
    np.testing.assert_array_equal(again["loop"], open_recording(path)["loop"])


def test_images_of_the_grid_are_frames_and_a_survey_has_pixels_of_its_own(
    tmp_path: Path, receipt_for
) -> None:
    height, survey = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(20, 30))
    made = grid(height=(("y", "x"), height), survey=(("survey_y", "survey_x"), survey))
    made = made.assign_coords(
        survey_y=pixels(20, 1.0, "survey_y"), survey_x=pixels(30, 1.0, "survey_x")
    )
    path = write(made, tmp_path / "a.nc")
    target = tmp_path / "recording.zarr"
    ingest([path], target, config=IngestConfig(shard_mb=1e-4), receipt=receipt_for(path))
    exported = xr.open_zarr(target, consolidated=False).load()
    for variable in (exported, *exported.variables.values()):  # NetCDF holds no lists of texts
        variable.attrs = {
            key: json.dumps(value) if isinstance(value, list) else value
            for key, value in variable.attrs.items()
            if value is not None and not isinstance(value, bool | dict)
        }
    exported.to_netcdf(tmp_path / "exported.nc", engine="h5netcdf")
    for recording in map(open_recording, (path, target, tmp_path / "exported.nc")):
        np.testing.assert_array_equal(recording["height"][0], height)
        assert recording["height"].dims == ("frame", "y", "x")
        np.testing.assert_array_equal(recording["survey"], survey)
        assert recording["survey"].dims == ("survey_y", "survey_x")
        np.testing.assert_array_equal(recording["survey_x"], np.arange(30))
        assert recording["survey_x"].attrs["units"] == "nm"
        assert sum("where the grid" in note for note in recording.attrs["notes"]) == 1


# ---- arrays


def test_an_array_is_a_grid_of_spectra_by_its_annotations(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", loops())
    (tmp_path / "a.json").write_text(
        json.dumps(
            {
                "dims": ["y", "x", "energy"],
                "pixel_size": 2,
                "axes": {"energy": {"offset": 400, "step": 10, "units": "meV"}},
            }
        )
    )
    recording = open_recording(tmp_path / "a.npy")
    np.testing.assert_array_equal(recording["signal"], loops())
    np.testing.assert_allclose(recording["energy"], ENERGY)
    np.testing.assert_array_equal(recording["x"], np.arange(4) * 2)


def test_band_excitation_spectra_come_in_by_frequency(shared_data: Path, tmp_path: Path) -> None:
    for name in ("bepfm_test_data", "bepfm_test_data_sparse"):
        values = np.load(shared_data / f"spectra/{name}.npy")
        np.save(tmp_path / f"{name}.npy", values)
        annotations = {"dims": ["y", "x", "frequency"], "quantity": "response"}
        (tmp_path / f"{name}.json").write_text(json.dumps(annotations))
        recording = open_recording(tmp_path / f"{name}.npy")
        assert recording["response"].dims == ("y", "x", "frequency")
        np.testing.assert_array_equal(recording["response"], values)


def test_an_archive_of_a_grid_keeps_its_images_and_its_survey(tmp_path: Path) -> None:
    arrays = {"loop": loops(), "height": loops()[..., 0], "survey": np.ones((9, 8)) * np.arange(8)}
    bias = np.sin(np.arange(12))
    meta = {"pixel_size": 5, "units": {"loop": "pm", "bias": "mV"}}
    np.savez(
        tmp_path / "a.npz", **arrays, bias=bias, cycle=np.arange(12) // 6, meta=json.dumps(meta)
    )
    recording = open_recording(tmp_path / "a.npz")
    np.testing.assert_array_equal(recording["loop"], loops())
    np.testing.assert_array_equal(recording["height"][0], arrays["height"])
    np.testing.assert_array_equal(recording["survey"], arrays["survey"])
    np.testing.assert_allclose(recording["voltage"], bias / 1e3)
    np.testing.assert_array_equal(recording["cycle"], np.arange(12) // 6)
    assert recording["loop"].attrs["units"] == "pm"


def test_an_archive_of_points_keeps_its_places_and_images(tmp_path: Path) -> None:
    made = points()
    np.savez(
        tmp_path / "a.npz",
        spectrum=made["spectrum"].values,
        image=made["image"].values,
        energy=ENERGY,
        point_frame=made["point_frame"].values,
        y_nm=made["point_y_nm"].values,
        x_nm=made["point_x_nm"].values,
        specimen=np.array([0, 0, 1, 0, 1]),
        meta=json.dumps({"pixel_size": 2, "units": {"energy": "eV"}}),
    )
    recording = open_recording(tmp_path / "a.npz")
    assert recording["spectrum"].dims == ("point", "energy")
    np.testing.assert_array_equal(recording["spectrum"], made["spectrum"])
    np.testing.assert_array_equal(recording["image"], made["image"])
    np.testing.assert_array_equal(recording["point_y_nm"], made["point_y_nm"])
    np.testing.assert_array_equal(recording["point_frame"], made["point_frame"])
    np.testing.assert_array_equal(recording["specimen"], [0, 0, 1, 0, 1])
    np.testing.assert_array_equal(recording["x"], np.arange(9) * 2)
    assert not any("left out" in note for note in recording.attrs["notes"])


# ---- spectrum images of electron microscopes


def write_hspy(
    path: Path, signals: Mapping[str, tuple[np.ndarray, list[tuple[str, float, float, str]]]]
) -> None:
    """Signals of HyperSpy by title, each with (name, offset, step, unit) of its axes."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        experiments = file.create_group("Experiments")
        for title, (values, axes) in signals.items():
            group = experiments.create_group(title)
            group.create_dataset("data", data=values)
            group.create_group("metadata/General").attrs["title"] = title
            for n, (name, offset, step, units) in enumerate(axes):
                group.create_group(f"axis-{n}").attrs.update(
                    {"name": name, "offset": offset, "scale": step, "units": units}
                )


def write_emd(
    path: Path, signals: Mapping[str, tuple[np.ndarray, list[tuple[str, float, float, str]]]]
) -> None:
    """Groups of NCEM's EMD by name."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        for title, (values, axes) in signals.items():
            group = file.create_group(f"data/{title}")
            group.attrs["emd_group_type"] = 1
            group.create_dataset("data", data=values)
            for n, (name, offset, step, units) in enumerate(axes):
                vector = group.create_dataset(
                    f"dim{n + 1}", data=offset + step * np.arange(values.shape[n])
                )
                vector.attrs.update({"name": name, "units": units})


@pytest.mark.parametrize(("suffix", "writer"), [(".hspy", write_hspy), (".emd", write_emd)])
def test_a_spectrum_image_keeps_its_energy_its_dark_field_and_its_survey(
    suffix: str, writer: Any, tmp_path: Path
) -> None:
    place = [("y", 0.0, 2.0, "nm"), ("x", 0.0, 2.0, "nm")]
    fine = [("y", 0.0, 0.5, "nm"), ("x", 0.0, 0.5, "nm")]
    cube, haadf, survey = loops(), RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(30, 31))
    writer(
        tmp_path / f"a{suffix}",
        {
            "haadf": (haadf, place),
            "overview": (survey, fine),
            "spectrum": (cube, [*place, ("Energy loss", 350.0, 0.5, "eV")]),
        },
    )
    recording = open_recording(tmp_path / f"a{suffix}")
    assert recording["spectrum"].dims == ("y", "x", "energy")
    np.testing.assert_array_equal(recording["spectrum"], cube)
    np.testing.assert_allclose(recording["energy"], 350 + 0.5 * np.arange(12))
    np.testing.assert_array_equal(recording["haadf"][0], haadf)
    np.testing.assert_array_equal(recording["survey"], survey)
    np.testing.assert_allclose(recording["survey_x"], 0.5 * np.arange(31))
    np.testing.assert_allclose(recording["x"], 2.0 * np.arange(4))
    assert recording["survey"].attrs["label"] == "overview"


@pytest.mark.parametrize(("suffix", "writer"), [(".hspy", write_hspy), (".emd", write_emd)])
@pytest.mark.parametrize(
    ("name", "units", "dim", "factor"),
    [
        ("bias", "mV", "voltage", 1e-3),
        ("", "V", "voltage", 1.0),
        ("Wavelength", "µm", "wavelength", 1e3),
        ("frequency", "kHz", "frequency", 1.0),
        ("", "meV", "energy", 1e-3),
    ],
)
def test_the_axis_of_a_cube_is_known_by_its_name_or_unit(
    name: str, units: str, dim: str, factor: float, suffix: str, writer: Any, tmp_path: Path
) -> None:
    place = [("y", 0.0, 2.0, "nm"), ("x", 0.0, 2.0, "nm")]
    writer(tmp_path / f"a{suffix}", {"cube": (loops(), [*place, (name, 3.0, 0.5, units)])})
    recording = open_recording(tmp_path / f"a{suffix}")
    assert recording["spectrum"].dims == ("y", "x", dim)
    np.testing.assert_allclose(recording[dim], (3 + 0.5 * np.arange(12)) * factor)


def test_a_series_of_images_stays_a_series(tmp_path: Path) -> None:
    place = [("y", 0.0, 2.0, "nm"), ("x", 0.0, 2.0, "nm")]
    for name, units in (("time", "s"), ("", ""), ("z", "nm")):
        write_hspy(tmp_path / "a.hspy", {"movie": (loops(), [(name, 0.0, 1.0, units), *place])})
        assert open_recording(tmp_path / "a.hspy")["image"].dims == ("frame", "y", "x")


def test_an_image_of_as_many_but_other_pixels_is_no_image_of_the_grid(tmp_path: Path) -> None:
    place = [("y", 0.0, 2.0, "nm"), ("x", 0.0, 2.0, "nm")]
    fine = [("y", 0.0, 0.5, "nm"), ("x", 0.0, 0.5, "nm")]
    write_hspy(
        tmp_path / "a.hspy",
        {
            "spectrum": (loops(), [*place, ("Energy loss", 350.0, 0.5, "eV")]),
            "overview": (loops()[..., 0], fine),
        },
    )
    recording = open_recording(tmp_path / "a.hspy")
    np.testing.assert_array_equal(recording["survey"], loops()[..., 0])
    np.testing.assert_allclose(recording["survey_y"], [0, 0.5, 1])


def test_gatans_spectrum_image_has_its_energy_last(shared_data: Path) -> None:
    pytest.importorskip("rsciio")
    recording = open_recording(shared_data / "spectra/DMReader_SpectrumImage_SI-EELS.dm3")
    assert recording["spectrum"].dims == ("y", "x", "energy")
    assert recording["energy"].attrs["units"] == "eV"
    np.testing.assert_allclose(recording["energy"], 350 + 0.5 * np.arange(1024))


def test_patterns_with_a_spectrum_image_stay_patterns(tmp_path: Path) -> None:
    scan = [("y", 0.0, 1.0, "nm"), ("x", 0.0, 1.0, "nm")]
    detector = [("ky", 0.0, 1.0, "mrad"), ("kx", 0.0, 1.0, "mrad")]
    write_hspy(
        tmp_path / "a.hspy",
        {
            "patterns": (RANDOM.normal(size=(3, 4, 8, 8)), [*scan, *detector]),
            "spectrum": (loops(), [*scan, ("Energy loss", 350.0, 0.5, "eV")]),
        },
    )
    recording = open_recording(tmp_path / "a.hspy")
    assert list(recording) == ["patterns"] or list(recording) == ["pattern"]


def test_a_unit_that_is_no_energy_is_refused(tmp_path: Path) -> None:
    made = points().assign_coords(energy=("energy", ENERGY, {"units": "V"}))
    with pytest.raises(InputError, match="the unit of energy is 'V', but must be eV"):
        open_recording(write(made, tmp_path / "a.nc"))
