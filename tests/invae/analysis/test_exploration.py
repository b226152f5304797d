"""What the page holds of every site gives the patch and the reconstruction back."""

import numpy as np

from invae import dims
from invae.analysis.decoding import decoder_of, latents_of
from invae.results import open_result
from invae.storage import store


def upright(run, sites) -> np.ndarray:
    """Upright reconstructions by the model (site, y, x)."""
    given = {k: v for k, v in latents_of(sites).items() if k in ("class", "target", "condition")}
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    return decoder_of(run.store("train"))(content, given)[:, 0]


def test_sums_of_parts_are_the_reconstructions(scan_run, conditional_run):
    for run in (scan_run, conditional_run):
        result = open_result(run.store("analyse"))
        group = result["explorer"].load()
        exact = upright(run, result[""].load())
        parts = group["part_picture"].to_numpy()
        sums = np.einsum("sp,pyx->syx", group["coefficient"].to_numpy(), parts)
        known = np.isfinite(exact)
        assert np.abs(sums - exact)[known].max() < 0.02 * max(float(exact[known].std()), 1e-3)


def test_nodes_are_decoded_at_their_places(card_run):
    result = open_result(card_run.store("analyse"))
    group = result["explorer"].load()
    decode = decoder_of(card_run.store("train"))
    place = np.array([[float(group["node_1"][3]), float(group["node_2"][11])]], np.float32)
    exact = decode(place, {"class": np.array([2])})[0, 0]
    np.testing.assert_allclose(group["decoded"][2, 3, 11], exact, rtol=1e-4, atol=1e-5)


def test_patches_are_cut_from_frames_where_they_are_cuts_and_stored_elsewhere(dense_run, card_run):
    group = open_result(dense_run.store("analyse"))["explorer"].load()
    assert "patch" not in group
    result = open_result(dense_run.store("analyse"))
    sites, frames = result[""].load(), result["images"]["image"].load()
    site = int(group["shown"][5])
    half = (group.sizes[dims.PATCH_Y] - 1) / 2
    top, left = (round(float(sites[axis][site]) - half) for axis in (dims.Y, dims.X))
    size = group.sizes[dims.PATCH_Y]
    cut = frames[int(sites["frame"][site])].to_numpy()[top : top + size, left : left + size]
    patch = store.open_store(dense_run.store("describe"))["patch"][site, 0].to_numpy()
    np.testing.assert_allclose(float(group["gain"][5]) * cut + float(group["offset"][5]), patch, atol=1e-3)  # fmt: skip
    cards = open_result(card_run.store("analyse"))["explorer"].load()
    assert "gain" not in cards
    stored = int(cards["shown"][int(cards["stored"][7])])
    patches = store.open_store(card_run.store("describe"))["patch"]
    np.testing.assert_array_equal(cards["patch"][7], patches[stored, 0])
