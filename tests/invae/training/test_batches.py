"""Batches: every site once, seeded, from arrays and from stores alike."""

import threading
import tracemalloc

import numpy as np
import pytest
import torch
import xarray as xr

from invae.errors import InputError, StoreError
from invae.models.likelihoods import Bernoulli, Limits, Poisson
from invae.models.signals import IMAGE
from invae.storage import store
from invae.training import batches as module
from invae.training import signal_sources
from invae.training.batches import Batches
from invae.training.signal_sources import (
    ArraySource,
    Read,
    SignalArray,
    SignalSource,
    SignalStream,
    StreamSource,
    open_signals,
)

CPU = torch.device("cpu")


def numbered(n: int) -> np.ndarray:
    """Patches that show their own number."""
    return np.broadcast_to(np.arange(n)[:, None, None, None], (n, 1, 4, 5)).astype(np.float32)


def stream_of(
    read: Read, shape: tuple[int, ...], *, shard: int, limits: Limits | None = None
) -> StreamSource:
    """The one signal `image`."""
    return StreamSource({IMAGE: SignalStream(read, shape, limits)}, shard=shard)


def streamed(n: int, *, shard: int = 16) -> StreamSource:
    patches = numbered(n)
    return stream_of(lambda place: (patches[place], None), patches.shape, shard=shard)


def spectra(n: int) -> np.ndarray:
    """Spectra of two channels that show their own number plus a half."""
    return np.broadcast_to(np.arange(n)[:, None, None, None] + 0.5, (n, 2, 1, 7))


def array_of_two(n: int) -> ArraySource:
    return ArraySource.of_signals(
        {IMAGE: SignalArray(numbered(n)), "spectrum": SignalArray(spectra(n))}
    )


def stream_of_two(n: int) -> StreamSource:
    signals = {
        name: SignalStream(lambda place, values=values: (values[place], None), values.shape)
        for name, values in ((IMAGE, numbered(n)), ("spectrum", spectra(n)))
    }
    return StreamSource(signals, shard=16)


SOURCES = {
    "array": lambda n: ArraySource(numbered(n)),
    "stream": streamed,
    "array of two signals": array_of_two,
    "stream of two signals": stream_of_two,
}


def seen(batches) -> list[int]:
    """Numbers of the sites, by the image; every other signal must be of the same sites."""
    for batch in (batches := list(batches)):
        if "spectrum" in batch:
            np.testing.assert_array_equal(
                batch["spectrum"].values[:, 1, 0, 3], batch[IMAGE].values[:, 0, 0, 0] + 0.5
            )
    return [int(v) for batch in batches for v in batch[IMAGE].values[:, 0, 0, 0]]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n", [1, 7, 100])
def test_every_site_comes_once(source, n):
    sites = np.arange(0, n, 2)
    batches = Batches(SOURCES[source](n), sites, 8, CPU)
    assert seen(batches.in_order()) == sites.tolist()
    assert sorted(seen(batches.shuffled(0, 1))) == sites.tolist()


@pytest.mark.parametrize("source", SOURCES)
def test_the_order_follows_from_the_seed_and_changes_with_the_epoch(source):
    batches = Batches(SOURCES[source](100), np.arange(100), 8, CPU)
    assert seen(batches.shuffled(3, 0)) == seen(batches.shuffled(3, 0))
    assert seen(batches.shuffled(3, 0)) != seen(batches.shuffled(3, 1))
    assert seen(batches.shuffled(3, 0)) != seen(batches.shuffled(4, 0))


def test_while_streaming_sites_of_different_shards_are_mixed(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", 5 * 20 * 48)  # three shards
    order = seen(Batches(streamed(160), np.arange(160), 8, CPU).shuffled(0))
    assert sorted(order) == list(range(160))
    shards = np.array(order).reshape(-1, 8) // 16
    assert np.mean([len(set(batch)) for batch in shards]) > 2
    assert len(set(np.array(order[:48]) // 16)) == 3


def test_the_next_buffer_is_read_while_one_is_used_and_none_beyond_it(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", 5 * 20 * 16)  # one shard
    patches, read, second = numbered(160), list[int](), threading.Event()

    def reading(place: slice) -> tuple[np.ndarray, None]:
        read.append(place.start)
        if len(read) == 2:
            second.set()
        return patches[place], None

    source = stream_of(reading, patches.shape, shard=16)
    batches = Batches(source, np.arange(160), 4, CPU).shuffled(0)
    next(batches)
    assert second.wait(timeout=60)
    next(batches)  # of the first buffer, like the one that is made ahead
    assert len(read) == 2
    assert len(seen(batches)) == 160 - 8
    assert sorted(read) == list(range(0, 160, 16))


def test_a_stream_of_any_length_takes_the_memory_of_two_buffers(monkeypatch):
    shard, n, item = 64, 6400, 5 * 24 * 24
    monkeypatch.setattr(module, "BUFFER_BYTES", 4 * shard * item)

    def made(place: slice) -> tuple[np.ndarray, np.ndarray]:
        values = np.full((place.stop - place.start, 1, 24, 24), place.start, np.float32)
        return values, values >= 0

    batches = Batches(stream_of(made, (n, 1, 24, 24), shard=shard), np.arange(n), 32, CPU)
    tracemalloc.start()
    try:
        n_seen = sum(len(batch) for batch in batches.shuffled(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_seen == n
    assert peak < 2 * module.BUFFER_BYTES + 3 * shard * item < n * item / 8


def test_streamed_masks_and_values_are_those_of_an_array(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_BYTES", 10)
    rng = np.random.default_rng(1)
    patches, valid = rng.normal(size=(40, 1, 4, 5)), rng.random((40, 1, 4, 5)) > 0.1
    patches[~valid] = np.nan
    stream = stream_of(lambda at: (patches[at], valid[at]), patches.shape, shard=16)
    sites = np.arange(1, 40, 3)
    held = ArraySource(patches, valid).take(sites)[IMAGE]
    came = list(Batches(stream, sites, 100, CPU).in_order())
    torch.testing.assert_close(torch.cat([batch[IMAGE].values for batch in came]), held.values)
    masks = [mask for batch in came if (mask := batch[IMAGE].valid) is not None]
    assert held.valid is not None
    assert torch.equal(torch.cat(masks), held.valid)


@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_a_patch_that_cannot_be_used_is_named_by_its_number_in_the_store(bad):
    patches = numbered(40)
    patches = np.where(patches == 37, bad, patches)
    stream = stream_of(
        lambda at: (patches[at], None), patches.shape, shard=16, limits=Poisson.limits
    )
    with pytest.raises(InputError, match="the first in patch 37" if bad != bad else "Poisson"):
        list(Batches(stream, np.arange(0, 40), 8, CPU).in_order())


def test_the_last_batch_is_no_smaller_than_the_others():
    sizes = [len(b) for b in Batches(ArraySource(numbered(65)), np.arange(65), 64, CPU).in_order()]
    assert sizes == [33, 32]


def test_no_sites_are_no_batches():
    batches = Batches(ArraySource(numbered(3)), np.zeros(0, int), 8, CPU)
    assert list(batches.in_order()) == []
    assert len(batches) == 0


def test_what_is_masked_is_zero_and_a_mask_that_hides_nothing_is_none():
    patches = numbered(3) + 1
    patches[1, 0, 0, 0] = np.nan
    valid = np.isfinite(patches)
    batch = ArraySource(patches, valid).take(np.array([1]))[IMAGE]
    assert batch.valid is not None
    assert batch.values[0, 0, 0, 0] == 0
    assert not batch.valid[0, 0, 0, 0]
    whole = ArraySource(numbered(3), np.ones((3, 1, 4, 5), bool)).take(np.array([0]))
    assert whole[IMAGE].valid is None


@pytest.mark.parametrize(
    ("patches", "valid", "complaint"),
    [
        (np.zeros((3, 4)), None, r"patches have shape \(3, 4\)"),
        (np.zeros((0, 1, 4, 4)), None, r"shape \(0, 1, 4, 4\)"),
        (np.zeros((2, 1, 4, 4), complex), None, "patches are of type complex128"),
        (np.full((2, 1, 4, 4), np.inf), None, "32 values are NaN or infinite"),
        (np.zeros((2, 1, 4, 4)), np.ones((2, 4, 4), bool), "mask has shape"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(patches, valid, complaint):
    with pytest.raises(InputError, match=complaint):
        ArraySource(patches, valid)


@pytest.mark.parametrize("outside", [-0.1, 1.1])
def test_a_bernoulli_takes_no_value_outside_0_and_1(outside):
    patches = np.full((2, 1, 4, 4), 0.5)
    patches[1, 0, 0, 0] = outside
    with pytest.raises(InputError, match="a Bernoulli likelihood takes 0 to 1"):
        ArraySource(patches, limits=Bernoulli.limits)


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    shape, dims = (50, 2, 6, 6), ("site", "channel", "patch_y", "patch_x")
    patches = xr.DataArray(rng.normal(size=shape).astype(np.float32), dims=dims)
    valid = xr.DataArray(rng.random(shape) > 0.1, dims=dims)
    path = tmp_path / "descriptors.zarr"
    store.write_dataset(path, xr.Dataset({"patch": patches.where(valid), "valid": valid}))
    return path


def everything(source: SignalSource) -> torch.Tensor:
    return torch.cat([b[IMAGE].values for b in Batches(source, np.arange(50), 7, CPU).in_order()])


def test_a_large_store_is_streamed_to_the_values_of_a_small_one(stored, monkeypatch):
    small = open_signals(stored)
    monkeypatch.setattr(signal_sources, "IN_MEMORY_BYTES", 10)
    large = open_signals(stored)
    assert isinstance(small, ArraySource)
    assert isinstance(large, StreamSource)
    assert torch.equal(everything(small), everything(large))


def test_a_store_without_patches_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nothing\.zarr is not a Zarr store"):
        open_signals(tmp_path / "nothing.zarr")
    store.write_dataset(tmp_path / "other.zarr", xr.Dataset({"height": ("x", [1.0])}))
    with pytest.raises(InputError, match=r"other\.zarr has no patches"):
        open_signals(tmp_path / "other.zarr")


def test_what_fits_a_buffer_is_read_once_and_comes_in_the_same_batches(monkeypatch):
    patches, reads = numbered(100), list[slice]()

    def read(place: slice) -> tuple[np.ndarray, None]:
        reads.append(place)
        return patches[place], None

    stream = stream_of(read, patches.shape, shard=16)
    batches = Batches(stream, np.arange(3, 90, 4), 8, CPU)
    kept = batches.cached()
    n_reads = len(reads)
    assert [seen([one]) for one in kept.in_order()] == [seen([one]) for one in batches.in_order()]
    assert len(reads) == 2 * n_reads  # those of the stream
    monkeypatch.setattr(module, "BUFFER_BYTES", 100)
    assert batches.cached() is batches


def test_signals_of_a_store_are_read_by_name_whatever_their_axes(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    patch = rng.normal(size=(20, 1, 6, 5)).astype(np.float32)
    spectrum, loops = rng.normal(size=(20, 9)), rng.normal(size=(20, 2, 8))
    valid = np.arange(20)[:, None] % 4 > 0
    dataset = xr.Dataset(
        {
            "patch": (("site", "channel", "patch_y", "patch_x"), patch),
            "spectrum": (("site", "energy"), spectrum),
            "spectrum_valid": (("site", "energy"), np.broadcast_to(valid, (20, 9))),
            "loops": (("site", "channel", "voltage"), np.concatenate([loops, loops], 1)[:, :1]),
        }
    )
    store.write_dataset(tmp_path / "descriptors.zarr", dataset)
    names, sites = (IMAGE, "spectrum", "loops"), np.arange(1, 20, 3)
    sources = [open_signals(tmp_path / "descriptors.zarr", signals=names)]
    monkeypatch.setattr(signal_sources, "IN_MEMORY_BYTES", 10)
    sources.append(open_signals(tmp_path / "descriptors.zarr", signals=names))
    assert isinstance(sources[1], StreamSource)
    for source in sources:
        assert {k: (g.n_channels, g.height, g.width) for k, g in source.geometries.items()} == {
            IMAGE: (1, 6, 5), "spectrum": (1, 1, 9), "loops": (1, 1, 8),
        }  # fmt: skip
        held, places = source.load(sites)
        batch = held.take(places)
        np.testing.assert_array_equal(batch[IMAGE].values, patch[sites])
        there = valid[sites, 0]
        np.testing.assert_allclose(
            batch["spectrum"].values[there, 0, 0], spectrum[sites][there], rtol=1e-6
        )
        mask = batch["spectrum"].valid
        assert mask is not None
        np.testing.assert_array_equal(mask[:, 0, 0, 0], there)


def test_a_signal_that_a_store_lacks_is_named(stored):
    with pytest.raises(InputError, match="has no signal spectrum"):
        open_signals(stored, signals=(IMAGE, "spectrum"))
    with pytest.raises(InputError, match="no signal 'spectrum', only image"):
        _ = ArraySource(numbered(3)).take(np.array([0]))["spectrum"]


def test_signals_of_different_numbers_of_sites_are_refused():
    with pytest.raises(InputError, match="3 of image, 4 of spectrum"):
        ArraySource.of_signals(
            {IMAGE: SignalArray(numbered(3)), "spectrum": SignalArray(spectra(4))}
        )


def test_a_value_that_cannot_be_used_is_named_with_its_signal():
    broken = np.array(spectra(4))
    broken[2, 0, 0, 0] = np.nan
    signals = {IMAGE: SignalArray(numbered(4)), "spectrum": SignalArray(broken)}
    with pytest.raises(InputError, match="values of spectrum are NaN or infinite, the first in"):
        ArraySource.of_signals(signals)
