"""One holder of the GPU at a time, wherever there is a server to ask; no limit on it is one clear line."""

import threading

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from invae.errors import MachineError
from tasks import gpu_slot


@pytest.fixture
def limit(prefect_server):
    """The limit that `invae doctor --fix` makes."""
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=gpu_slot.LIMIT, limit=1)
        )
        yield client
        client.delete_global_concurrency_limit_by_name(name=gpu_slot.LIMIT)


def inside_a_task(work) -> None:
    @task
    def do() -> None:
        work()

    @flow
    def hold() -> None:
        do()

    hold()


def active(client) -> int:
    return client.read_global_concurrency_limit_by_name(gpu_slot.LIMIT).active_slots


def test_the_slot_is_held_as_long_as_the_work_and_given_back_when_it_fails(limit):
    def work():
        with gpu_slot.hold_slot("cuda"):
            assert active(limit) == 1
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        inside_a_task(work)
    assert active(limit) == 0


def test_a_second_one_waits_for_the_first(limit):
    first_has_it, first_may_go, order = threading.Event(), threading.Event(), []

    def first():
        with gpu_slot.hold_slot("cuda"):
            first_has_it.set()
            first_may_go.wait(60)
            order.append("first")

    def second():
        with gpu_slot.hold_slot("cuda"):
            order.append("second")

    ahead = threading.Thread(target=inside_a_task, args=(first,))
    ahead.start()
    assert first_has_it.wait(60)
    behind = threading.Thread(target=inside_a_task, args=(second,))
    behind.start()
    behind.join(1)
    assert order == []
    first_may_go.set()
    behind.join(60)
    ahead.join(60)
    assert order == ["first", "second"]


def test_a_server_without_the_limit_is_named_with_the_remedy(prefect_server):
    def work():
        with gpu_slot.hold_slot("cuda"):
            pass

    with pytest.raises(MachineError, match=r"has no concurrency limit 'gpu'.*invae doctor --fix"):
        inside_a_task(work)


def test_there_is_nothing_to_hold_on_a_server_of_ones_own_or_on_the_processor(prefect_server):
    """The server has no limit, and nobody asks for it."""

    def work():
        with gpu_slot.hold_slot("cpu"):
            pass
        with gpu_slot.without_shared_server(), gpu_slot.hold_slot("cuda"):
            pass

    inside_a_task(work)
    with gpu_slot.hold_slot("cuda"):
        pass
