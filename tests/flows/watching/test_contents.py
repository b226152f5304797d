"""Large recordings are read beside the scan: they are seen at once, and keep no other from its run."""

import threading
from pathlib import Path

import pytest

from flows.watching import contents, fingerprint, ledger, polling
from flows.watching.contents import Contents
from flows.watching.grouping import Arrival
from flows.watching.ledger import Entry
from flows.watching.watcher import Watcher
from invae.errors import InputError
from tests.flows.watching.conftest import write_images

LARGE = 100_000
"""Size from which a recording counts as large here [bytes]."""


@pytest.fixture
def slow(monkeypatch) -> threading.Event:
    """Large recordings are read only when this is set, as if they had 21 GB."""
    may_end, digest = threading.Event(), fingerprint.content_digest

    def content_digest(files: tuple[Path, ...]) -> str:
        if fingerprint.n_bytes(files) >= LARGE:
            assert may_end.wait(60)
        return digest(files)

    monkeypatch.setattr(contents, "LARGE_BYTES", LARGE)
    monkeypatch.setattr(fingerprint, "content_digest", content_digest)
    return may_end


def write_large(path: Path) -> Path:
    path.write_bytes(b"x" * LARGE)
    return path


def states(watcher: Watcher) -> dict[str, Entry]:
    """The ledger after one scan, by recording."""
    assert watcher.scan() is not None
    return {entry.recording: entry for entry in ledger.read(Path(watcher.config.out))}


def test_a_large_recording_is_seen_at_once_and_keeps_no_other_waiting(watcher, box, slow):
    write_large(box / "large.npy")
    write_images(box / "a.npy", seed=1)
    found = states(watcher)
    assert (found["a"].state, found["large"].state) == ("waiting", "settling")
    assert found["large"].reason == "its 0.0 GB are being read"
    write_images(box / "b.npy", seed=2)
    assert states(watcher)["b"].state == "waiting"
    slow.set()
    assert watcher.contents.wait(60)
    found = states(watcher)["large"]
    assert (found.state, found.reason) == ("waiting", "")
    assert not watcher.contents.wait(0)


def test_as_long_as_it_is_read_the_watcher_is_not_idle_and_then_scans_at_once(watcher, box, slow):
    write_large(box / "large.npy")
    told: list[str] = []
    follower = polling.Follower(watcher, told.append)
    follower.step()
    assert not follower.is_idle
    slow.set()
    assert watcher.contents.wait(60)
    follower.step()
    assert told[-1] == "large: waiting"


def test_a_scheduled_scan_ends_when_the_large_one_has_its_run(watched, box, slow, deployed):
    write_large(box / "large.npy")
    watcher = Watcher(watched(interval=1))
    assert states(watcher)["large"].state == "settling"
    threading.Timer(0.5, slow.set).start()
    polling.scan_until_read(watcher, lambda _: None)
    assert [entry.state for entry in ledger.read(Path(watcher.config.out))] == ["waiting"]


def test_a_large_recording_that_changes_while_it_is_read_settles_anew(watcher, box, slow):
    path = write_large(box / "large.npy")
    first = states(watcher)["large"]
    path.write_bytes(b"y" * LARGE)
    slow.set()
    assert watcher.contents.wait(60)
    changed = states(watcher)["large"]
    assert changed.state == "settling"
    assert changed.fingerprint != first.fingerprint
    assert not changed.flow_run


def test_of_two_watchers_one_reads_a_large_recording(watcher, watched, box, slow):
    write_large(box / "large.npy")
    states(watcher)
    other = Watcher(watched())
    scan = other.scan()
    assert scan is not None
    assert other.contents.wait(60)
    assert scan.is_reading
    (entry,) = states(other).values()
    assert entry.state == "settling"
    slow.set()
    assert watcher.contents.wait(60)
    assert states(watcher)["large"].state == "waiting"
    assert list((Path(watcher.config.out) / ledger.FOLDER).glob("reading-*")) == []


def test_what_goes_wrong_while_reading_is_raised_where_it_is_taken(tmp_path):
    read = Contents(tmp_path)
    gone = tmp_path / "gone.npy"
    read.request(Arrival("gone", (gone,), (gone,)), mark="1", n_bytes=1)
    assert list(read.finished()) == [str(gone)]
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read.content(str(gone))
