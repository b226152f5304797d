"""Signals of HyperSpy: the layout on disk, and what HyperSpy itself makes of it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from benchmarks.peers.environments import HYPERSPY
from invae import results
from invae.errors import InputError
from invae.results.hyperspy import signals_of
from invae.storage import store


def group(parent: h5py.Group, name: str) -> h5py.Group:
    member = parent[name]
    assert isinstance(member, h5py.Group)
    return member


def dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    member = parent[name]
    assert isinstance(member, h5py.Dataset)
    return member


def test_every_signal_has_the_groups_of_the_layout(copied):
    file = results.export(copied, to="hyperspy")
    assert file.suffix == ".hspy"
    maps = results.open_result(copied)["maps"]
    with h5py.File(file) as root:
        assert root.attrs["file_format"] == "HyperSpy"
        assert root.attrs["file_format_version"] == "3.3"
        signal = group(root, "Experiments/maps polarization")
        np.testing.assert_array_equal(dataset(signal, "data")[()], maps["polarization"])
        axes = [dict(group(signal, f"axis-{k}").attrs) for k in range(3)]
        assert [axis["name"] for axis in axes] == ["frame", "y", "x"]
        assert [bool(axis["navigate"]) for axis in axes] == [True, False, False]
        assert [axis["size"] for axis in axes] == list(maps["polarization"].shape)
        assert axes[2]["units"] == "nm"
        assert axes[2]["scale"] == pytest.approx(float(maps["x"][1] - maps["x"][0]))
        assert group(signal, "metadata/General").attrs["title"] == "maps polarization"
        assert {"package", "package_version"} <= set(signal.attrs)
        assert "signal_type" in group(signal, "metadata/Signal").attrs
        assert dataset(root, "Experiments/traversal manifold/data").ndim == 6
        for experiment in group(root, "Experiments").values():
            assert {"data", "metadata", "original_metadata"} <= set(experiment)


def test_patterns_keep_type_chunks_and_order(recording):
    opened = store.open_store(recording)["pattern"]
    with h5py.File(results.export(recording, to="hyperspy")) as root:
        data = dataset(root, "Experiments/pattern/data")
        np.testing.assert_array_equal(data[()], opened)
        assert data.dtype == opened.dtype
        assert data.chunks == opened.encoding["chunks"]
        np.testing.assert_array_equal(
            dataset(root, "Experiments/maps detector_valid/data")[()],
            store.open_store(recording, group="maps")["detector_valid"],
        )


def test_the_signal_axes_come_last_whatever_the_order_of_the_variable(tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    maps = xr.Dataset(
        {
            "content_map": (("frame", "grid_y", "grid_x", "latent"), values),
            "angle": ("latent", np.zeros(5)),
            "latent_name": ("latent", [*"abcde"]),
        },
        coords={"grid_y": [0.0, 1.0, 5.0], "grid_x": ("grid_x", [7.0, 5, 3, 1], {"units": "nm"})},
    )
    store.write_dataset(tmp_path / "result.zarr", maps)
    with h5py.File(results.export(tmp_path / "result.zarr", to="hyperspy")) as root:
        assert list(group(root, "Experiments")) == ["content_map"]
        signal = group(root, "Experiments/content_map")
        np.testing.assert_array_equal(dataset(signal, "data")[()], values.transpose(0, 3, 1, 2))
        axes = [dict(group(signal, f"axis-{k}").attrs) for k in range(4)]
        assert [axis["name"] for axis in axes] == ["frame", "latent", "grid_y", "grid_x"]
        assert [axis["scale"] for axis in axes] == [1, 1, 1, -2], "uneven ones are numbered"
        assert (axes[3]["offset"], axes[3]["units"]) == (7, "nm")


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("content", ["site", "latent"]),
        ("angle", ["site"]),
        ("class", ["site"]),
        ("class_probability", ["site", "class_name"]),
        ("shift", ["site", "axis"]),
        ("x", ["site"]),
    ],
)
def test_latents_angle_class_and_place_navigate_over_the_sites(sites_file, sites, name, over):
    with h5py.File(sites_file) as root:
        signal = group(root, f"Experiments/{name}")
        np.testing.assert_array_equal(dataset(signal, "data")[()], sites[name])
        axes = [dict(group(signal, f"axis-{number}").attrs) for number in range(len(over))]
        assert [axis["name"] for axis in axes] == over
        assert [bool(axis["navigate"]) for axis in axes] == [True, *[False] * (len(over) - 1)]


def test_the_angle_has_its_unit_and_the_classes_their_names(sites_file):
    with h5py.File(sites_file) as root:
        angle = group(root, "Experiments/angle/metadata/Signal").attrs["quantity"]
        assert angle == "rotation angle (rad)"
        labels = dataset(root, "Experiments/class_probability/original_metadata/invae/labels/_list_class_name")  # fmt: skip
        assert [name.decode() for name in labels[()]] == ["a", "b"]


@pytest.fixture
def sites() -> xr.Dataset:
    """Latents of five sites."""
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "content": (("site", "latent"), rng.normal(size=(5, 2))),
            "angle": ("site", rng.normal(size=5), {"units": "rad", "long_name": "rotation angle"}),
            "shift": (("site", "axis"), rng.normal(size=(5, 2)), {"units": "pixel"}),
            "class": ("site", np.array([0, 1, 0, 1, 1])),
            "class_probability": (("site", "class_name"), rng.random((5, 2))),
        },
        coords={"x": ("site", np.arange(5.0)), "class_name": ["a", "b"]},
    )


@pytest.fixture
def sites_file(sites, tmp_path) -> Path:
    """The latents as HyperSpy reads them."""
    store.write_dataset(tmp_path / "embedding.zarr", sites)
    return results.export(tmp_path / "embedding.zarr", to="hyperspy")


def test_a_store_without_signals_is_refused(tmp_path):
    store.write_dataset(tmp_path / "curve.zarr", xr.Dataset({"elbo": ("epoch", np.zeros(3))}))
    with pytest.raises(InputError, match="no image, pattern, spectrum or site for HyperSpy"):
        results.export(tmp_path / "curve.zarr", to="hyperspy", target=tmp_path / "curve.hspy")


# --- opened by HyperSpy itself --------------------------------------------------------------------

LOOK = """
import json, sys
import hyperspy.api as hs

def axes(found):
    return [[a.name, a.size, a.offset, a.scale, str(a.units)] for a in found]

lazy = sys.argv[2] == "lazy"
loaded = hs.load(sys.argv[1], lazy=lazy)
told = {}
for signal in loaded if isinstance(loaded, list) else [loaded]:
    total = float(signal.data.sum())
    told[signal.metadata.General.title] = {
        "kind": type(signal).__name__,
        "shape": signal.data.shape,
        "total": total,
        "navigation": axes(signal.axes_manager.navigation_axes),
        "signal": axes(signal.axes_manager.signal_axes),
        "energy": signal.metadata.get_item("Acquisition_instrument.TEM.beam_energy"),
        "convergence": signal.metadata.get_item("Acquisition_instrument.TEM.convergence_angle"),
        "quantity": signal.metadata.Signal.quantity,
        "origin": signal.original_metadata.as_dictionary()["invae"],
    }
print(json.dumps(told, default=lambda value: value.tolist()))
"""


def opened_by_hyperspy(file: Path, *, lazy: bool = False) -> dict[str, dict]:
    """What HyperSpy finds in a file; in this environment, or in its own under benchmarks/peers."""
    if importlib.util.find_spec("hyperspy"):
        python = sys.executable
    elif HYPERSPY.python.exists():
        python = str(HYPERSPY.python)
    else:
        pytest.skip("no HyperSpy; `python -m benchmarks.peers.environments hyperspy` installs it")
    arguments = [python, "-W", "ignore", "-c", LOOK, str(file), "lazy" if lazy else "whole"]
    answer = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("lazy", [False, True], ids=["whole", "lazily"])
def test_hyperspy_opens_a_recording(recording, lazy):
    found = opened_by_hyperspy(results.export(recording, to="hyperspy"), lazy=lazy)
    scan = [["scan_x", 6, 0.0, pytest.approx(0.3), "nm"]]
    scan += [["scan_y", 10, 0.0, pytest.approx(0.2), "nm"]]
    detector = [["k_x", 12, pytest.approx(-8.25), pytest.approx(1.5), "mrad"]]
    detector += [["k_y", 8, pytest.approx(-5.25), pytest.approx(1.5), "mrad"]]
    pattern = found["pattern"]
    assert pattern["kind"] == ("LazySignal2D" if lazy else "Signal2D")
    assert (pattern["navigation"], pattern["signal"]) == (scan, detector)
    assert pattern["total"] == float(store.open_store(recording)["pattern"].sum())
    assert (pattern["energy"], pattern["convergence"]) == (60.0, 30.0)
    assert pattern["quantity"] == "counts (count)"
    assert (found["maps sum"]["navigation"], found["maps sum"]["signal"]) == ([], scan)
    assert found["maps mean_pattern"]["signal"] == detector
    profile = found["maps radial_profile"]
    assert profile["kind"] == ("LazySignal1D" if lazy else "Signal1D")
    assert profile["signal"] == [["k", 5, 0.0, pytest.approx(1.5), "mrad"]]
    assert profile["navigation"] == scan


def test_hyperspy_reads_where_it_comes_from(recording):
    found = opened_by_hyperspy(
        results.export(
            recording, to="hyperspy", groups=["maps"], target=recording.with_name("m.hspy")
        )
    )
    assert set(found) == {f"maps {n}" for n in store.open_store(recording, group="maps").data_vars}
    origin = found["maps sum"]["origin"]
    assert found["maps sum"]["energy"] == 60.0
    (source,) = origin["receipt"]["sources"]
    assert source.items() >= {"name": "scan.mib", "sha256": "ab" * 32, "n_bytes": 11520}.items()
    assert origin["receipt"]["config"] == {"ingest": {}, "x": [0.5]}
    assert origin["instrument"] == {
        "Scan|1": {"frames": [1, "two", {"three": []}]},
        "note": None,
        "lens": [1.5, 2.0],
    }
    assert origin["store"]["centre"] == [3.5, 5.5]
    assert origin["store"]["transposed"] is False


def test_hyperspy_opens_the_results_of_series_and_of_single_images(small_run, card_run, tmp_path):
    for name, run in {"series": small_run, "cards": card_run}.items():
        result = run.store("analyse")
        expected = signals_of(results.open_result(result))
        found = opened_by_hyperspy(
            results.export(result, to="hyperspy", target=tmp_path / f"{name}.hspy")
        )
        assert set(expected) <= set(found)
        for title, values in expected.items():
            assert sorted(found[title]["shape"]) == sorted(values.shape)
            n_axes = values.ndim - 1 if "site" in values.dims and values.ndim < 3 else 2
            assert len(found[title]["signal"]) == n_axes, title
        assert found["content"]["kind"] == "Signal1D"
        assert found["angle"]["kind"] == "BaseSignal"
        assert found["angle"]["total"] == pytest.approx(float(expected["angle"].sum()))
        assert found["traversal manifold"]["origin"]["receipt"]["stage"] == "analyse"
