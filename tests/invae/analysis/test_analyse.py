"""From the stores of a recording to its result."""

import numpy as np
import pytest
import xarray as xr

from invae import results
from invae.dims import meanings
from invae.storage import store


@pytest.fixture(scope="module")
def groups(small_run):
    return {k: v.load() for k, v in results.open_result(small_run.store("analyse")).items()}


def test_a_result_fits_its_schema(small_run, single_run):
    results.validate(small_run.store("analyse"))
    results.validate(single_run.store("analyse"))


def test_the_schema_names_everything_that_is_there(small_run, single_run):
    free = {"training", "summary"}  # terms of the family's ELBO; scalars
    for run in (small_run, single_run):
        for group, dataset in results.open_result(run.store("analyse")).items():
            assert group in free or set(map(str, dataset.data_vars)) <= set(results.SCHEMA[group])


def test_everything_of_the_embedding_is_in_the_result(small_run, groups):
    embedding = store.open_store(small_run.store("embed"))
    for name in embedding.variables:
        xr.testing.assert_equal(
            embedding[name].drop_vars(embedding[name].coords),
            groups[""][name].drop_vars(groups[""][name].coords),
        )
    assert groups[""].attrs["pixel_size_nm"] == pytest.approx(10)


def test_every_variable_is_labelled(groups):
    for group, dataset in groups.items():
        for name, variable in dataset.data_vars.items():
            assert variable.attrs.get("long_name"), f"{group}/{name} has no long_name"
            labelled = "units" in variable.attrs or "flag_meanings" in variable.attrs
            assert labelled or variable.dtype == bool, f"{group}/{name} has no units"


def test_sites_have_a_class_and_its_name(groups):
    sites = groups[""]
    assert meanings(sites["cluster"].attrs) == sites["cluster_name"].to_numpy().tolist()
    assert (
        0
        <= int(sites["cluster"].min())
        <= int(sites["cluster"].max())
        < sites.sizes["cluster_name"]
    )


def test_every_wall_point_takes_the_value_of_a_site_of_its_own_frame(groups):
    walls, sites = groups["walls"], groups[""]
    owned = walls["nearest_site"].to_numpy() >= 0
    owner = walls["nearest_site"].to_numpy()[owned]
    np.testing.assert_array_equal(sites["frame"][owner], walls["frame"][owned])
    distance = np.hypot(*(sites[a].to_numpy()[owner] - walls[a].to_numpy()[owned] for a in "yx"))
    assert distance.max() <= 12
    assert owned.mean() > 0.3


def test_a_series_has_evolution_and_residence_and_one_frame_says_why_not(groups, single_run):
    assert {"transition", "residence", "wall_frames"} <= set(groups["maps"])
    assert groups["frames"].sizes["frame"] == 4
    single = results.open_result(single_run.store("analyse"))
    assert "residence" not in single["maps"]
    assert any("one frame" in note for note in single[""].attrs["notes"])


def test_a_grid_of_sites_becomes_maps(single_run):
    single = results.open_result(single_run.store("analyse"))
    grid, sites = single["grid"].load(), single[""].load()
    assert grid["content_map"].dims == ("frame", "grid_y", "grid_x", "latent")
    for number in (0, sites.sizes["site"] - 1):
        site = sites.isel(site=number)
        place = {"grid_y": float(site["y"]), "grid_x": float(site["x"])}
        found = grid["content_map"].isel(frame=0).sel(place)
        np.testing.assert_array_equal(found, site["content"])
        assert int(grid["cluster_map"].isel(frame=0).sel(place)) == int(site["cluster"])
    assert int((grid["cluster_map"] >= 0).sum()) == sites.sizes["site"]


def test_the_summary_counts_what_is_there(groups):
    summary = groups["summary"]
    assert int(summary["n_sites"]) == groups[""].sizes["site"]
    assert int(summary["n_frames"]) == 4
    history = groups["training"]
    best = np.flatnonzero(history["best"])[-1]
    assert float(summary["elbo_held_out"]) == float(history["elbo_held_out"][best])
    assert float(summary["drift_max"]) > 0
    assert 0 <= float(summary["angle_agreement"]) <= 1


def test_examples_are_sorted_by_their_error(groups):
    found = groups["examples"]
    by_rank = [float(found["error"][found["rank"] == rank].mean()) for rank in range(3)]
    assert by_rank == sorted(by_rank)
    site = int(found["site"][0])
    assert float(found["error"][0]) == float(groups[""]["reconstruction_error"][site])


def test_the_same_input_gives_the_same_values(small_run, groups, tmp_path):
    again = results.open_result(small_run.analyse(tmp_path / "again.zarr"))
    assert again.keys() == groups.keys()
    for name, dataset in again.items():
        xr.testing.assert_equal(dataset.load(), groups[name])


def test_a_killed_analysis_leaves_nothing_visible_and_ends_with_the_same_values(
    small_run, groups, tmp_path
):
    target = tmp_path / "result.zarr"

    def die(done, total, /):
        if done == total:  # all is written, nothing is published
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run.analyse(target, progress=die)
    assert not target.exists()
    again = results.open_result(small_run.analyse(target))
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]
    xr.testing.assert_equal(again["baseline"].load(), groups["baseline"])


def test_at_most_sixty_four_frames_are_kept():
    from invae.analysis.frames import chosen_frames

    frames = chosen_frames(1000, n_pixels=128 * 128)
    assert len(frames) == 64
    assert (frames[0], frames[-1]) == (0, 999)
    assert np.ptp(np.diff(frames)) <= 1
    assert chosen_frames(3, n_pixels=2048**2)[[0, -1]].tolist() == [0, 2]


def test_the_field_decides_what_counts_as_switched(small_run, groups, tmp_path):
    other = results.open_result(small_run.analyse(tmp_path / "r.zarr", field="negative"))
    total = groups["frames"]["domain_fraction"] + other["frames"]["switched_share"].load()
    np.testing.assert_allclose(total, 1)


def test_nothing_is_called_switched_where_the_field_is_not_known(groups):
    names = {str(name) for group in groups.values() for name in group.variables}
    assert not {name for name in names if name.startswith("switch")} - {"switch_significance"}
    words = [
        str(variable.attrs.get("long_name", ""))
        for group in groups.values()
        for variable in group.variables.values()
    ]
    assert not [words for words in words if "switched" in words or "pinning" in words]
    assert "domain_fraction" in groups["summary"]
