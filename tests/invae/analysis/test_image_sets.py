"""Results of sets of single images: no frames, but classes, conditions and a truth."""

import csv

import numpy as np
import pytest
import xarray as xr

from invae import results
from invae.analysis.decoding import decoder_of, latents_of
from invae.dims import meanings


@pytest.fixture(scope="module")
def groups(card_run):
    return {k: v.load() for k, v in results.open_result(card_run.store("analyse")).items()}


@pytest.fixture(scope="module")
def told(conditional_run):
    return {k: v.load() for k, v in results.open_result(conditional_run.store("analyse")).items()}


def test_results_without_frames_fit_the_schema(card_run, conditional_run):
    free = {"training", "summary"}
    for run in (card_run, conditional_run):
        results.validate(run.store("analyse"))
        for group, dataset in results.open_result(run.store("analyse")).items():
            truth = {name for name in dataset.variables if str(name).startswith("truth_")}
            there = set(map(str, dataset.data_vars)) - truth
            assert group in free or there <= set(results.SCHEMA[group]), group


def test_what_needs_frames_is_absent(groups):
    assert not {"maps", "frames", "walls", "grid", "association"} & groups.keys()
    assert "n_frames" not in groups["summary"]


def test_every_variable_is_labelled(groups, told):
    for group, dataset in [*groups.items(), *told.items()]:
        for name, variable in dataset.data_vars.items():
            assert variable.attrs.get("long_name"), f"{group}/{name} has no long_name"


def test_the_model_s_classes_have_pictures_and_a_manifold_each(groups):
    classes, sites = groups["classes"], groups[""]
    assert classes["patch"].dims == ("class", "example", "channel", "patch_y", "patch_x")
    assert int(classes["n_sites"].sum()) == sites.sizes["site"]
    assert groups["traversal"].sizes["class"] == 4
    assert int(groups["traversal"]["n_sites"].sum()) == sites.sizes["site"]
    for number, row in enumerate(classes["site"].to_numpy()):
        shown = row[row >= 0]
        assert (sites["joint_class"].to_numpy()[shown] == number).all()
    empty = (classes["n_sites"] == 0).to_numpy()
    drawn = np.isfinite(classes["decoded"]).any(("channel", "patch_y", "patch_x")).to_numpy()
    np.testing.assert_array_equal(drawn, ~empty)


def test_the_decoder_draws_the_reconstructions_again(card_run, groups):
    """Class, angle and content of the embedding are in the decoder's own units."""
    sites = groups[""].isel(site=slice(0, 20))
    decode = decoder_of(card_run.store("train"))
    drawn = decode(sites["content"].to_numpy(), latents_of(sites))
    with xr.open_zarr(card_run.store("describe"), consolidated=False, chunks=None) as patches:
        values = patches["patch"].to_numpy()[:20]
    known = np.isfinite(drawn)
    square = np.where(known, (values - drawn) ** 2, 0).sum((1, 2, 3)) / known.sum((1, 2, 3))
    np.testing.assert_allclose(np.sqrt(square), sites["reconstruction_error"], rtol=0.12)


def test_known_classes_are_counted_against_every_labelling(groups):
    confusion = groups["confusion"]
    assert confusion["labelling"].to_numpy().tolist() == [
        *("class", "cluster", "pca", "nmf", "kmeans")
    ]
    assert confusion["known"].to_numpy().tolist() == meanings(groups[""]["truth_suit"].attrs)
    own = confusion["count"].sel(labelling="class").to_numpy()
    assert own.shape == (4, 4)
    np.testing.assert_array_equal(own.sum(axis=0), [30] * 4)
    assert float(groups["summary"]["accuracy"]) == float(confusion["accuracy"][0])


def test_known_angles_are_scored_by_suit_with_their_symmetry(groups):
    known = groups["known"]
    assert known["symmetry"].to_numpy().tolist() == [1, 1, 2, 1]
    for name in ("angle_raw", "angle_symmetric", "angle_by_class", "angle_certainty"):
        assert ((known[name] >= 0) & (known[name] <= 1 + 1e-6)).all(), name
    assert known["variable"].to_numpy().tolist() == ["shear"]
    assert float(groups["summary"]["angle_score"]) == float(known["angle_by_class"].min())


def test_posteriors_over_the_angle_are_densities_about_the_angle_found(groups):
    angles, sites = groups["angles"], groups[""]
    turn = angles["turn"].to_numpy()
    np.testing.assert_allclose(angles["density"].sum("turn") * turn[1], 1, rtol=1e-3)
    found = sites["angle"].to_numpy()[angles["site"].to_numpy()]
    peak = turn[angles["density"].argmax("turn").to_numpy()]
    assert np.cos(found - peak).min() > np.cos(1.01 * turn[1])
    assert angles.sizes["example"] == 8


def test_the_angles_found_are_counted_in_every_epoch(groups):
    counts = groups["training"]["angle_count"]
    assert counts.dims == ("epoch", "bin")
    trained = int((~groups[""]["held_out"].astype(bool)).sum())
    np.testing.assert_array_equal(counts.sum("bin"), trained)


def test_conditions_have_a_manifold_each_under_their_names(told):
    names = told["traversal"]["class_name"].to_numpy().tolist()
    assert sorted(names) == sorted(meanings(told[""]["truth_suit"].attrs))
    assert told[""]["condition"].dims == ("site", "condition_name")
    assert "classes" not in told
    assert "angles" not in told


def test_the_same_input_gives_the_same_values(card_run, groups, tmp_path):
    again = results.open_result(card_run.analyse(tmp_path / "again.zarr"))
    assert again.keys() == groups.keys()
    for name, dataset in again.items():
        xr.testing.assert_equal(dataset.load(), groups[name])


def test_a_result_is_a_tree_of_xarray(card_run, tmp_path):
    path = card_run.analyse(tmp_path / "result.zarr")
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    groups = results.open_result(path)
    assert {"baselines", "traversal", "summary"} <= set(tree.children)
    for name, group in groups.items():
        for variable in group.variables:
            xr.testing.assert_equal(
                tree[name or "/"].variables[variable], group.variables[variable]
            )


def test_baselines_can_be_left_out(card_run, tmp_path):
    result = results.open_result(card_run.analyse(tmp_path / "r.zarr", baselines=()))
    assert "baselines" not in result
    assert result["confusion"]["labelling"].to_numpy().tolist() == ["class", "cluster"]


def test_exports_have_classes(card_run, tmp_path):
    file = results.export(card_run.store("analyse"), to="csv", target=tmp_path / "sites.csv")
    with file.open(newline="") as stream:
        row = next(csv.DictReader(stream))
    assert {
        "class",
        "class_probability_1",
        "truth_suit",
        "angle [rad]",
        "truth_angle [rad]",
    } <= set(row)
    assert row["truth_suit"] in ("clubs", "spades", "diamonds", "hearts")
    for to in ("netcdf", "hyperspy"):
        assert results.export(card_run.store("analyse"), to=to, target=tmp_path / to).is_file()
    assert "class_probability (site, class)" in results.info(card_run.store("analyse"))
