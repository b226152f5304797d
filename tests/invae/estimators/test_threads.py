"""Fits of the library use one thread: two spin on a busy machine, and sum in another order."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import xarray as xr

from invae import EncoderDecoder, InvariantVAE
from tests.invae.estimators.pair_data import spots

QUICK = {"epochs": 2, "batch_size": 64}
PATCHES = np.random.default_rng(0).normal(size=(200, 32, 32)).astype(np.float32)


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def latents() -> xr.Dataset:
    vae = InvariantVAE("rVAE", training=QUICK, device="cpu").fit(PATCHES)
    return vae.encode(PATCHES)


def test_values_do_not_depend_on_the_number_of_threads(threads):
    threads(1)
    one = latents()
    threads(2)
    xr.testing.assert_identical(latents(), one)


def test_epochs_use_one_thread_and_leave_the_others_as_they_were(threads):
    threads(2)
    used: list[int] = []
    vae = InvariantVAE("VAE", training=QUICK, device="cpu")
    vae.fit(PATCHES, on_epoch=lambda epoch: used.append(torch.get_num_threads()))
    assert used == [1, 1]
    assert torch.get_num_threads() == 2


def test_pairs_use_one_thread_too(threads):
    threads(2)
    used: set[int] = set()
    estimator = EncoderDecoder(n_members=1, n_folds=2, training=QUICK, device="cpu")
    estimator.fit(spots(40, seed=0), progress=lambda *_: used.add(torch.get_num_threads()))
    assert used == {1}
    assert torch.get_num_threads() == 2
