"""The server collects garbage only between its accesses to the database."""

import gc
import subprocess
import sys

from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

from flows.service.garbage import ALL, ALL_EVERY, AT_LATEST, YOUNG, YOUNG_EVERY, Collector


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watched() -> tuple[Collector, Clock, list[int]]:
    clock, found = Clock(), list[int]()
    return Collector(collect=found.append, clock=clock), clock, found


def test_nothing_is_collected_while_a_connection_is_in_use() -> None:
    collector, clock, found = watched()
    first, second = object(), object()
    collector.taken(first)
    collector.taken(second)
    clock.now = 2 * YOUNG_EVERY
    collector.returned(first)
    assert found == []
    collector.returned(second)
    assert found == [YOUNG]


def test_all_generations_are_collected_now_and_then() -> None:
    collector, clock, found = watched()
    for _ in range(int(2 * ALL_EVERY)):
        clock.now += 1.0
        collector.taken(collector)
        collector.returned(collector)
    assert found.count(ALL) == 2
    assert found.count(YOUNG) > ALL_EVERY


def test_a_server_that_is_never_idle_keeps_its_memory_bounded() -> None:
    collector, clock, found = watched()
    collector.taken(object())
    clock.now = AT_LATEST + 1
    collector.taken(collector)
    assert found == [ALL]


def test_pools_report_their_connections() -> None:
    collector, clock, found = watched()
    engine = create_engine("sqlite://", poolclass=QueuePool)
    collector.watch(engine.pool)
    clock.now = 2 * YOUNG_EVERY
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("select 1"))
        other.close()
        assert found == []
    assert found == [YOUNG]


def test_a_server_process_has_no_automatic_collections() -> None:
    code = "import gc; from flows.service.garbage import collect_when_idle; collect_when_idle(); print(gc.isenabled())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
    assert gc.isenabled()
