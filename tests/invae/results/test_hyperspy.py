"""The layout that HyperSpy reads."""

import h5py
import numpy as np
import pytest

from invae import results


def test_hyperspy_finds_its_layout(copied):
    file = results.export(copied, to="hyperspy")
    assert file.suffix == ".hspy"
    maps = results.open_result(copied)["maps"]
    with h5py.File(file) as root:
        assert root.attrs["file_format"] == "HyperSpy"
        assert root.attrs["file_format_version"] == "3.3"
        signal = root["Experiments/polarization"]
        np.testing.assert_array_equal(signal["data"][()], maps["polarization"])
        axes = [dict(signal[f"axis-{k}"].attrs) for k in range(3)]
        assert [axis["name"] for axis in axes] == ["frame", "y", "x"]
        assert [bool(axis["navigate"]) for axis in axes] == [True, False, False]
        assert [axis["size"] for axis in axes] == list(maps["polarization"].shape)
        assert axes[2]["units"] == "nm"
        assert axes[2]["scale"] == pytest.approx(float(maps["x"][1] - maps["x"][0]))
        assert signal["metadata/General"].attrs["title"] == "polarization"
        assert {"package", "package_version"} <= set(signal.attrs)
        assert "signal_type" in signal["metadata/Signal"].attrs
        assert root["Experiments/manifold/data"].ndim == 6
        for experiment in root["Experiments"].values():
            assert {"data", "metadata", "original_metadata"} <= set(experiment)
