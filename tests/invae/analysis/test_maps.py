"""Answers put back where they came from."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.domains.frame_maps import frame_table, image_maps, wall_points
from invae.analysis.frames import chosen_frames, grid_maps
from invae.config import AnalyseConfig, ComputeConfig
from invae.storage import store


def site_table(y, x, frame, **variables):
    columns = {name: ("site", np.asarray(values)) for name, values in variables.items()}
    coords = {name: ("site", np.asarray(v)) for name, v in {"y": y, "x": x, "frame": frame}.items()}
    return xr.Dataset(columns, coords=coords)


def stores(path, n_frames=3):
    """A recording and its descriptors: the left third masked, the lower half switched in every frame."""
    shape = (n_frames, 8, 6)
    y, x = np.indices(shape[1:])
    polarization = np.broadcast_to(np.where(y >= 4, 1.0, -1.0), shape).astype(np.float32)
    valid = np.broadcast_to(x >= 2, shape)
    coords = {"y": ("y", np.arange(8) * 5.0, {"units": "nm"}), "x": ("x", np.arange(6) * 5.0)}
    maps = xr.Dataset(
        {
            "polarization": (dims.IMAGE, polarization),
            "valid": (dims.IMAGE, valid),
            "time": ("frame", 2.0 * np.arange(n_frames), {"units": "s"}),
        },
        coords=coords,
    )
    store.write_dataset(path / "patches.zarr", xr.Dataset())
    store.write_dataset(path / "patches.zarr", maps, group="maps")
    number = np.arange(n_frames, dtype=float)[:, None, None]
    signals = {
        "amplitude_2": (dims.IMAGE, np.broadcast_to(number + 10, shape).copy()),
        "amplitude_1": (dims.IMAGE, np.broadcast_to(number, shape).copy()),
        "scan": ("other", np.zeros(3)),
    }
    store.write_dataset(path / "recording.zarr", xr.Dataset(signals))
    return path / "recording.zarr", path / "patches.zarr"


def test_the_chosen_frames_keep_their_numbers_and_the_first_amplitude(tmp_path):
    recording, patches = stores(tmp_path)
    found = image_maps(recording, patches, frames=np.array([0, 2]))
    assert found["frame"].to_numpy().tolist() == [0, 2]
    assert found["amplitude"].dtype == np.float32
    np.testing.assert_array_equal(found["amplitude"][:, 0, 0], [0, 2])
    assert found["polarization"].shape == (2, 8, 6)


def test_shares_count_only_what_is_valid(tmp_path):
    maps = store.open_store(stores(tmp_path)[1], group="maps")
    told = {"site_frames": np.array([0, 0, 2]), "compute": ComputeConfig(workers=1)}
    for field in ("positive", "negative"):
        table = frame_table(maps, config=AnalyseConfig(field=field), **told)
        np.testing.assert_allclose(table["masked_share"], 2 / 6)
        np.testing.assert_allclose(table["switched_share"], 0.5)
    table = frame_table(maps, config=AnalyseConfig(), **told)
    np.testing.assert_allclose(table["domain_fraction"], 0.5)
    assert "switched_share" not in table
    assert table["n_sites"].to_numpy().tolist() == [2, 0, 1]


def test_the_table_has_the_time_of_every_frame(tmp_path):
    maps = store.open_store(stores(tmp_path)[1], group="maps")
    given = {"site_frames": np.array([0]), "compute": ComputeConfig(workers=1)}
    table = frame_table(maps, config=AnalyseConfig(), **given)
    assert table["time"].to_numpy().tolist() == [0, 2, 4]
    assert table["time"].attrs["units"] == "s"


def test_wall_points_belong_to_the_nearest_site_of_their_frame_within_reach(tmp_path):
    points = xr.Dataset(
        {
            "y": ("point", [0.0, 0.0, 0.0, 0.0]),
            "x": ("point", [1.0, 9.0, 30.0, 1.0]),
            "frame": ("point", [0, 0, 0, 1]),
            "contour": ("point", [0, 0, 0, 1]),
        }
    )
    store.write_dataset(tmp_path / "p.zarr", xr.Dataset())
    store.write_dataset(tmp_path / "p.zarr", points, group="contours")
    sites = site_table([0, 0, 0], [0, 10, 2], [0, 0, 1])
    found = wall_points(tmp_path / "p.zarr", sites, frames=np.array([0, 1]), reach=5)
    assert found["nearest_site"].to_numpy().tolist() == [0, 1, -1, 2]
    only = wall_points(tmp_path / "p.zarr", sites, frames=np.array([1]), reach=5)
    assert only["nearest_site"].to_numpy().tolist() == [2]


def test_places_of_the_grid_without_a_site_are_empty():
    sites = site_table([0, 0, 8], [0, 8, 8], [1, 1, 1], cluster=[2, 0, 1], angle=[0.1, 0.2, 0.3])
    found = grid_maps(sites, frames=np.array([0, 1]))
    assert found["cluster_map"].to_numpy()[1].tolist() == [[2, 0], [-1, 1]]
    np.testing.assert_array_equal(found["angle_map"][1], [[0.1, 0.2], [np.nan, 0.3]])
    assert (found["cluster_map"][0] == -1).all()


def test_large_frames_are_kept_less_often():
    assert len(chosen_frames(1000, n_pixels=256**2)) == 64
    assert len(chosen_frames(1000, n_pixels=1024**2)) == 7
    assert len(chosen_frames(1000, n_pixels=10_000**2)) == 2
