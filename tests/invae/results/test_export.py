"""Exports are whole or absent."""

import pytest
import xarray as xr

from invae import results
from invae.errors import InputError


def test_an_export_that_cannot_be_written_leaves_nothing(copied, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        results.export(copied, to="csv", target=tmp_path / "missing" / "sites.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.zarr"]


def test_a_group_is_exported_with_the_provenance_of_the_whole(recording):
    file = results.export(recording, to="netcdf", groups=["maps"])
    with xr.open_dataset(file) as root, xr.open_dataset(file, group="maps") as maps:
        assert not root.variables
        assert "sum" in maps
        assert maps.attrs["source"] == "scan.mib"
        assert maps.attrs["beam_energy_keV"] == 60.0


def test_a_group_that_is_not_there_is_named(recording):
    with pytest.raises(InputError, match=r"has no group map; it has root, maps"):
        results.export(recording, to="netcdf", groups=["map"])


def test_a_recording_is_no_table(recording):
    with pytest.raises(InputError, match="a table needs sites"):
        results.export(recording, to="csv")
    assert [path.name for path in recording.parent.iterdir()] == ["recording.zarr"]


@pytest.mark.parametrize("to", ["netcdf", "hyperspy"])
def test_progress_ends_with_everything_done(recording, to):
    calls = []
    results.export(recording, to=to, progress=lambda done, total: calls.append((done, total)))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] == totals[-1]
