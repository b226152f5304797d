"""Training on a set that memory cannot hold."""

import statistics
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.streaming import patches as made
from benchmarks.streaming.patches import PatchSet
from benchmarks.streaming.training import InMemory, Run, trained
from invae.training.signal_sources import StreamSource, open_signals


@pytest.mark.parametrize("seed", [2, 9])
def test_the_set_is_made_from_its_seed_and_lies_in_shards(tmp_path, seed):
    few = PatchSet(n_sites=1200, seed=seed)
    made.write(few, tmp_path / "set.zarr")
    stream = open_signals(tmp_path / "set.zarr", in_memory=False)
    assert isinstance(stream, StreamSource)
    sites = np.array([3, 700, 1199])
    assert len(stream.groups(sites)) == 2
    held, places = stream.load(sites)
    batch = held.take(places)["image"]
    assert batch.valid is not None
    assert not batch.valid[:, :, :8, :8].any()
    np.testing.assert_array_equal(batch.values[0, 0, 8:], made.piece_of(few, 0, 976)[3, 0, 8:])


def test_in_memory_the_same_sites_come_in_the_order_of_the_stream(tmp_path):
    made.write(PatchSet(n_sites=1200), tmp_path / "set.zarr")
    stream = open_signals(tmp_path / "set.zarr", in_memory=False)
    held, sites = InMemory(stream), np.arange(0, 1200, 7)
    assert [list(group) for group in held.groups(sites)] == [
        list(group) for group in stream.groups(sites)
    ]
    own, other = (source.load(sites) for source in (held, stream))
    assert own[0].take(own[1])["image"].values.equal(other[0].take(other[1])["image"].values)


@pytest.mark.slow
def test_a_streamed_set_trains_at_four_fifths_of_the_speed_in_less_memory_than_it_takes(tmp_path):
    patches = PatchSet()
    made.write(patches, tmp_path / "set.zarr")
    held = Run(str(tmp_path / "set.zarr"), "VAE", streamed=False, epochs=3)
    in_memory, streamed = trained(held), trained(replace(held, streamed=True))
    assert streamed.elbo == in_memory.elbo
    assert streamed.grown_mb < 0.8e-6 * patches.n_bytes
    assert in_memory.grown_mb > 1e-6 * patches.n_bytes
    # of processor times: what else the machine does is in the others
    assert statistics.median(streamed.cpu) < statistics.median(in_memory.cpu) / 0.8
