"""Values do not depend on the number of cores, and the machine has a name."""

import torch
from threadpoolctl import threadpool_info

from tasks.devices import machine, one_thread


def test_one_thread_adds_up_and_then_as_many_as_before():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == before


def test_the_machine_has_a_name_and_cores():
    assert machine().endswith("cores")
