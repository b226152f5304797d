"""Settling does not wait for a clock that was set back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.watching import settling
from flows.watching.grouping import Arrival
from flows.watching.ledger import Entry
from invae.config import WatchConfig


@pytest.fixture
def arrival(tmp_path: Path) -> Arrival:
    file = tmp_path / "scan.npy"
    file.write_bytes(b"x" * 100)
    return Arrival("scan", (file,), (file,))


def entry_of(arrival: Arrival, before: dict[str, Entry]) -> Entry:
    return settling.updated_entries({arrival.key: arrival}, before)[arrival.key]


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=4000)])
def test_an_entry_from_the_future_settles_from_now(arrival, ahead, tmp_path):
    config = WatchConfig(folder=str(tmp_path), out=str(tmp_path / "out"), settle=5)
    first = entry_of(arrival, {})
    future = (datetime.now(UTC) + ahead).isoformat()
    moved = Entry(**{**vars(first), "since": future})
    assert settling.seconds_left(arrival, moved, config) > 3600
    again = entry_of(arrival, {arrival.key: moved})
    assert settling.seconds_left(arrival, again, config) <= 5


def test_an_entry_of_now_keeps_its_time(arrival):
    first = entry_of(arrival, {})
    assert entry_of(arrival, {arrival.key: first}) == first
