"""Held-out blocks, and no training patch that has seen a pixel of them."""

import numpy as np
import pytest

from invae.training.split import Places, Split, split_blocks, split_sites, thin


def scattered(n: int, *, n_frames: int = 1, size: float = 256, window: float = 24.0) -> Places:
    rng = np.random.default_rng(0)
    frame = np.sort(rng.integers(0, n_frames, n))
    return Places(frame, rng.uniform(0, size, n), rng.uniform(0, size, n), window)


def overlap(places: Places, split: Split) -> bool:
    """Whether any training patch shares a pixel of a frame with a held-out one, by brute force."""
    one, other = split.training[:, None], split.held_out[None]
    near = [np.abs(along[one] - along[other]) < places.window for along in (places.y, places.x)]
    same_time = np.abs(places.frame[one] - places.frame[other]) < places.n_frames
    return bool((near[0] & near[1] & same_time).any())


@pytest.mark.parametrize("n_frames", [1, 12, 60])
@pytest.mark.parametrize("delays", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_training_patch_overlaps_a_held_out_one(n_frames, delays, seed):
    places = scattered(1500, n_frames=n_frames)
    places = Places(places.frame, places.y, places.x, places.window, n_frames=delays)
    split = split_blocks(places, share=0.15, seed=seed)
    assert len(split.held_out) >= 0.1 * 1500
    assert len(split.training) >= 0.4 * 1500
    assert not set(split.training) & set(split.held_out)
    assert not overlap(places, split)


def test_the_seed_chooses_the_blocks():
    places = scattered(800, n_frames=20)
    first, again, other = (split_blocks(places, share=0.2, seed=s) for s in (0, 0, 1))
    assert np.array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


@pytest.mark.parametrize("n", [1, 5])
def test_a_recording_too_small_for_blocks_is_trained_on_whole(n):
    split = split_blocks(scattered(n, size=20), share=0.15, seed=0)
    assert len(split.training) == n
    assert len(split.held_out) == 0


def test_nothing_is_held_out_if_nothing_is_asked_for():
    split = split_blocks(scattered(100), share=0.0, seed=0)
    assert len(split.training) == 100


@pytest.mark.parametrize(("n", "held_out"), [(1, 0), (6, 0), (100, 15)])
def test_single_sites_are_split_by_the_seed(n, held_out):
    split = split_sites(n, share=0.15, seed=3)
    assert len(split.held_out) == held_out
    assert sorted([*split.training, *split.held_out]) == list(range(n))


def test_thinning_keeps_sites_evenly_spread():
    assert thin(np.arange(100), 5).tolist() == [0, 25, 50, 74, 99]
    assert thin(np.arange(4), 5).tolist() == [0, 1, 2, 3]
