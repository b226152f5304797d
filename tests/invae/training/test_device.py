"""Trainings use one thread, and leave the number of threads as it was."""

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info

from invae.training.device import one_thread


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_is_used_inside_and_as_many_as_before_afterwards():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == before


def test_a_decorated_function_uses_one_thread_whenever_it_is_called(two_threads):
    @one_thread()
    def n_threads() -> int:
        return torch.get_num_threads()

    assert [n_threads(), n_threads()] == [1, 1]
    assert torch.get_num_threads() == 2
