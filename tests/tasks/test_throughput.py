"""How fast the sources go in, in words."""

from types import SimpleNamespace

import pytest

from tasks import progress
from tasks.progress import Throughput, duration


def test_the_rate_counts_from_the_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0, 110.0])
    # a clock of this module only: Prefect's threads read the real one
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    speed = Throughput(40_000_000_000)
    assert speed.describe(10, 100) == ""  # these were there when the run began
    assert speed.describe(12, 100) == "400 MB/s, 88 s left"
    assert speed.describe(15, 100) == "200 MB/s, 3 min left"


def test_sources_without_size_have_no_rate() -> None:
    speed = Throughput(0)
    assert speed.describe(1, 3) == speed.describe(2, 3) == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (130, "2 min"), (9000, "2.5 h")]
)
def test_long_times_are_told_in_larger_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
