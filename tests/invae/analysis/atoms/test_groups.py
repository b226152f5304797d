"""Results of atoms and of windows: the frames beside the sites, who is unusual, and what happens in time."""

import numpy as np
import xarray as xr

from invae import results
from invae.analysis.atoms.tracks import track_table
from invae.storage import store


def groups_of(run):
    return {k: v.load() for k, v in results.open_result(run.store("analyse")).items()}


def test_results_on_images_fit_the_schema_and_hold_nothing_of_walls(atom_run, dense_run):
    for run in (atom_run, dense_run):
        results.validate(run.store("analyse"))
        groups = groups_of(run)
        assert {"images", "frames", "outliers"} <= groups.keys()
        assert not {"maps", "walls"} & groups.keys()
        assert not {"wall_normal", "switching_degree"} & set(groups[""].variables)
        for group, dataset in groups.items():
            for name, variable in dataset.data_vars.items():
                assert variable.attrs.get("long_name"), f"{group}/{name} has no long_name"


def test_frames_are_as_recorded_and_sites_lie_in_them(atom_run):
    groups = groups_of(atom_run)
    recorded = store.open_store(atom_run.store("ingest"))["image"].to_numpy()
    np.testing.assert_array_equal(groups["images"]["image"], recorded.astype(np.float32))
    assert groups["images"]["x"].attrs["units"] == "nm"
    counts = np.bincount(groups[""]["frame"].to_numpy())
    np.testing.assert_array_equal(groups["frames"]["n_sites"], counts)


def test_windows_become_a_grid_over_the_frames(dense_run):
    groups = groups_of(dense_run)
    sites, grid = groups[""], groups["grid"]
    assert grid["content_map"].sizes["frame"] == 3
    number = int(np.flatnonzero(sites["frame"].to_numpy() == 1)[7])
    there = grid["content_map"].sel(
        frame=1, grid_y=float(sites["y"][number]), grid_x=float(sites["x"][number])
    )
    np.testing.assert_array_equal(there, sites["content"][number])
    assert "association" not in groups


def test_what_was_measured_is_set_against_the_latents(atom_run):
    found = groups_of(atom_run)["association"]
    assert "intensity" in found["descriptor"].to_numpy().tolist()


def test_tracks_tell_what_changes_in_time():
    track = np.tile(np.arange(3), 4)
    frame = np.repeat(np.arange(4), 3)
    content = np.zeros((12, 1))
    content[track == 1, 0] = [0, 0, 2, 2]
    place = {name: ("site", track.astype(float)) for name in ("y", "x", "y_nm", "x_nm")}
    sites = xr.Dataset(
        {
            "content": (("site", "latent"), content),
            "track": ("site", np.where((track == 2) & (frame > 1), 7, track)),
            "frame": ("site", frame),
            "joint_class": ("site", ((track == 1) & (frame > 1)).astype(int), {"flag_values": [0]}),
        }
        | place
    )
    table = track_table(sites)
    assert table["track"].to_numpy().tolist() == [0, 1]
    assert table["n_frames"].to_numpy().tolist() == [4, 4]
    np.testing.assert_allclose(table["content_change"][:, 0], [0, 1])
    np.testing.assert_allclose(table["y"], [0, 1])


def test_atoms_of_a_movie_keep_their_numbers_in_the_result(atom_run):
    groups = groups_of(atom_run)
    tracks, sites = groups["tracks"], groups[""]
    assert tracks.sizes["track"] > 20
    one = int(tracks["track"][5])
    here = sites["track"].to_numpy() == one
    assert here.sum() == int(tracks["n_frames"][5])
    assert np.ptp(sites["y"].to_numpy()[here]) < 4
