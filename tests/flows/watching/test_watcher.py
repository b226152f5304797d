"""Every recording gets exactly one run, whatever happens to its files, to the ledger and to the watchers."""

import os
import shutil
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows.process import process
from flows.watching import ledger, polling, runs
from flows.watching.ledger import Entry
from flows.watching.watcher import Watcher, request_retry, turn_lock
from invae.config import named
from invae.errors import InputError, ServerError
from tasks import failures
from tests.flows.watching.conftest import write_images


def entries(watcher: Watcher) -> dict[str, Entry]:
    """What is known after one more scan, by the name of the first file."""
    look = watcher.scan()
    assert look is not None
    return {Path(entry.key).name: entry for entry in look.entries}


def run_of(entry: Entry) -> FlowRun:
    return runs.read([entry.flow_run])[entry.flow_run]


def come_to(entry: Entry, state: State) -> None:
    """What a runner would say."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(entry.flow_run), state, force=True)


def fail(entry: Entry, error: Exception) -> None:
    """End the run with an error, and keep the reason as Prefect would have it kept."""
    try:
        raise error
    except type(error) as raised:
        state = Failed(data=raised, message=str(raised))
        failures.record_failure(process, run_of(entry), state)
    come_to(entry, Failed(message=str(error)))


def n_runs(*found: Entry) -> int:
    return len({entry.flow_run for entry in found})


def test_a_recording_waits_for_its_run_then_has_it_then_is_done(watcher, box):
    write_images(box / "a.npy", seed=1)
    waiting = entries(watcher)["a.npy"]
    assert (waiting.state, waiting.recording) == ("waiting", "a")
    run = run_of(waiting)
    assert run.name == "process a"
    assert run.parameters["sources"] == [str(box / "a.npy")]
    assert run.parameters["config"]["version"] == "3"
    come_to(waiting, Running())
    assert entries(watcher)["a.npy"].state == "running"
    come_to(waiting, Completed())
    assert entries(watcher)["a.npy"].state == "done"
    assert ledger.read(Path(watcher.config.out))[0].state == "done"


def test_a_file_settles_first(deployed, watched, box):
    write_images(box / "a.npy", seed=2)
    watcher = Watcher(watched(settle=3600))
    look = watcher.scan()
    assert look is not None
    assert look.settled_in == pytest.approx(3600, abs=60)
    assert entries(watcher)["a.npy"].state == "settling"


def test_a_growing_file_settles_anew(deployed, watched, box):
    path = write_images(box / "a.npy", seed=3)
    watcher = Watcher(watched(settle=3600))
    first = entries(watcher)["a.npy"]
    assert entries(watcher)["a.npy"] == first
    with path.open("ab") as file:
        file.write(b"more")
    assert entries(watcher)["a.npy"].fingerprint != first.fingerprint


def test_a_series_settles_longer_than_a_file(deployed, watched, box):
    write_images(box / "pzt_1.npy", seed=4)
    write_images(box / "single.npy", seed=5)
    found = entries(Watcher(watched(series=r"(?P<series>.+)_\d+\.npy", series_settle=3600)))
    assert {name: entry.state for name, entry in found.items()} == {
        "pzt_1.npy": "settling",
        "single.npy": "waiting",
    }


def test_a_renamed_file_gets_no_second_run(watcher, box):
    path = write_images(box / "a.npy", seed=6)
    first = entries(watcher)["a.npy"]
    come_to(first, Completed())
    path.rename(box / "b.npy")
    found = entries(watcher)
    assert list(found) == ["b.npy"]
    assert (found["b.npy"].flow_run, found["b.npy"].state) == (first.flow_run, "done")
    assert found["b.npy"].recording == "a", "its results stay where they are"


def test_a_file_renamed_before_its_run_is_found_by_the_run(watcher, box):
    path = write_images(box / "a.npy", seed=7)
    first = entries(watcher)["a.npy"]
    path.rename(box / "b.npy")
    renamed = entries(watcher)["b.npy"]
    assert renamed.flow_run == first.flow_run
    assert run_of(renamed).parameters["sources"] == [str(box / "b.npy")]


def test_a_copy_gets_no_second_run_and_says_of_what_it_is_one(watcher, box):
    shutil.copy(write_images(box / "a.npy", seed=8), box / "b.npy")
    found = entries(watcher)
    assert n_runs(*found.values()) == 1
    assert [entry.reason for entry in found.values()] == [
        "",
        f"the same content as {box / 'a.npy'}",
    ]


def test_a_touched_file_gets_no_second_run(watcher, box):
    path = write_images(box / "a.npy", seed=9)
    first = entries(watcher)["a.npy"]
    come_to(first, Completed())
    entries(watcher)
    os.utime(path)
    touched = entries(watcher)["a.npy"]
    assert (touched.flow_run, touched.state) == (first.flow_run, "done")


def test_a_changed_file_gets_a_run_of_its_own(watcher, box):
    path = write_images(box / "a.npy", seed=10)
    first = entries(watcher)["a.npy"]
    come_to(first, Completed())
    write_images(path, seed=11)
    second = entries(watcher)["a.npy"]
    assert n_runs(first, second) == 2
    assert second.recording == "a"


def test_a_lost_ledger_costs_no_second_run(watcher, box):
    write_images(box / "a.npy", seed=12)
    write_images(box / "b.npy", seed=13)
    before = entries(watcher)
    come_to(before["a.npy"], Completed())
    shutil.rmtree(Path(watcher.config.out) / ledger.FOLDER)
    after = entries(watcher)
    assert {n: e.flow_run for n, e in after.items()} == {n: e.flow_run for n, e in before.items()}
    assert after["a.npy"].state == "done"


def test_two_watchers_at_once_give_one_run(deployed, watched, box):
    for seed in range(14, 20):
        write_images(box / f"{seed}.npy", seed=seed)
    watchers = [Watcher(watched(out=str(box.parent / out))) for out in ("out", "out")]
    threads = [threading.Thread(target=one.scan) for one in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(watchers[0])
    assert n_runs(*found.values()) == 6
    with get_client(sync_client=True) as client:
        out = str((box.parent / "out").resolve())
        made = [run for run in client.read_flow_runs(limit=200) if run.parameters.get("out") == out]
    assert len(made) == 6


def test_a_second_submission_is_the_same_run(watcher, watched, box):
    entry = entries_of_one(watcher, box, seed=20)
    other = runs.Runs(named.load(watcher.config.config), Path(watcher.config.out), inside=box)
    again = other.submit(entry.digest, sources=[box / "other.npy"], name="other")
    assert str(again.id) == entry.flow_run


def entries_of_one(watcher: Watcher, box: Path, *, seed: int) -> Entry:
    write_images(box / "a.npy", seed=seed)
    return entries(watcher)["a.npy"]


def test_another_output_folder_is_another_run(watcher, watched, box):
    first = entries_of_one(watcher, box, seed=21)
    second = entries(Watcher(watched(out=str(box.parent / "elsewhere"))))["a.npy"]
    assert n_runs(first, second) == 2


def test_a_file_that_vanishes_before_its_turn_is_forgotten(deployed, watched, box):
    watcher = Watcher(watched(settle=3600))
    path = write_images(box / "a.npy", seed=22)
    assert entries(watcher)
    path.unlink()
    assert entries(watcher) == {}


def test_a_file_that_vanishes_before_it_is_read_may_come_back(watcher, box):
    path = write_images(box / "a.npy", seed=23)
    first = entries(watcher)["a.npy"]
    away = path.rename(box.parent / "away.npy")
    fail(first, InputError(f"{path} does not exist; check the path"))
    assert entries(watcher) == {}
    away.rename(path)
    back = entries(watcher)["a.npy"]
    assert (back.flow_run, back.state) == (first.flow_run, "waiting")


def test_equal_names_of_two_recordings_are_told_apart(watcher, box):
    write_images(box / "a.npy", seed=24)
    (box / "a.npz").write_bytes(b"something else")
    found = entries(watcher)
    names = {entry.recording for entry in found.values()}
    assert len(names) == 2
    assert "a" in names
    assert all(name.startswith("a") for name in names)


def test_a_recording_that_cannot_be_read_is_quarantined_with_reason_and_traceback(watcher, box):
    entry = entries_of_one(watcher, box, seed=25)
    fail(entry, InputError("a.npy: is not what .npy stands for; copy it again"))
    aside = entries(watcher)["a.npy"]
    assert aside.state == "set aside"
    assert aside.reason == "a.npy: is not what .npy stands for; copy it again"
    assert "Traceback" in runs.failure(run_of(aside)).traceback
    assert entries(watcher)["a.npy"] == aside, "and stays there"


def test_quarantined_recordings_are_a_table_in_the_ui(watcher, box):
    write_images(box / "<img src=x>.npy", seed=26)
    (entry,) = entries(watcher).values()
    fail(entry, InputError("<script>alert(1)</script> is wrong"))
    entries(watcher)
    with get_client(sync_client=True) as client:
        tables = client.read_artifacts(limit=200)
    latest = max((t for t in tables if t.key == "set-aside-tiny"), key=lambda t: str(t.created))
    assert "&lt;script" in str(latest.data)
    assert "<script>" not in str(latest.data)
    assert "<img" not in str(latest.data)


def test_a_quarantined_recording_does_not_stop_the_others(watcher, box):
    (box / "link.npy").symlink_to("/etc/hostname")
    write_images(box / "a.npy", seed=27)
    found = entries(watcher)
    assert {name: entry.state for name, entry in found.items()} == {
        "link.npy": "set aside",
        "a.npy": "waiting",
    }
    assert not found["link.npy"].flow_run


def test_a_file_that_becomes_a_link_while_it_waits_is_refused_by_its_run(watcher, box, tmp_path):
    entry = entries_of_one(watcher, box, seed=33)
    (tmp_path / "secret").mkdir()
    outside = write_images(tmp_path / "secret" / "other.npy", seed=34)
    (box / ".link").symlink_to(outside)
    (box / ".link").replace(box / "a.npy")
    with pytest.raises(InputError, match=r"a\.npy: is a link that leaves the folder"):
        process(**run_of(entry).parameters)
    assert not (Path(watcher.config.out) / "a" / "recording.zarr").exists()


def test_it_is_tried_again_when_its_file_changes(watcher, box):
    entry = entries_of_one(watcher, box, seed=28)
    fail(entry, InputError("broken"))
    assert entries(watcher)["a.npy"].state == "set aside"
    write_images(box / "a.npy", seed=29)
    changed = entries(watcher)["a.npy"]
    assert changed.state == "waiting"
    assert changed.flow_run != entry.flow_run


def test_it_is_tried_again_on_request_as_the_same_run(watcher, box):
    entry = entries_of_one(watcher, box, seed=30)
    fail(entry, InputError("broken"))
    entries(watcher)
    request_retry(Path(watcher.config.out), "a")
    again = entries(watcher)["a.npy"]
    assert (again.state, again.reason, again.flow_run) == ("waiting", "", entry.flow_run)
    run = run_of(again)
    assert (run.state_type, run.state_name) == (StateType.SCHEDULED, "AwaitingRetry")
    come_to(again, Completed())
    assert entries(watcher)["a.npy"].state == "done"


def test_only_quarantined_recordings_are_tried_again(watcher, box):
    entries_of_one(watcher, box, seed=31)
    with pytest.raises(InputError, match=r"'a' is not in quarantine in .*out; in quarantine: none"):
        request_retry(Path(watcher.config.out), "a")


def test_the_machine_is_given_time_and_the_recording_the_same_run(watcher, box):
    entry = entries_of_one(watcher, box, seed=32)
    fail(entry, OSError(28, "No space left on device", str(box / "chunk")))
    waiting = entries(watcher)["a.npy"]
    assert (waiting.state, waiting.attempts) == ("waiting", 1)
    assert "No space left on device" in waiting.reason
    run = run_of(waiting)
    assert waiting.flow_run == entry.flow_run
    assert run.state_name == "AwaitingRetry"
    assert run.next_scheduled_start_time is not None
    due = run.next_scheduled_start_time.timestamp() - datetime.now(UTC).timestamp()
    assert 0 < due <= watcher.config.backoff


def test_waits_double_and_end_in_quarantine(deployed, watched, box):
    watcher = Watcher(watched(attempts=3, backoff=1000))
    entry = entries_of_one(watcher, box, seed=33)
    waits = []
    for _ in range(2):
        come_to(entry, Crashed(message="Process exited with status code -9"))
        waiting = entries(watcher)["a.npy"]
        due = run_of(waiting).next_scheduled_start_time
        assert due is not None
        waits.append(due.timestamp() - datetime.now(UTC).timestamp())
    assert waits == [pytest.approx(1000, abs=60), pytest.approx(2000, abs=60)]
    come_to(entry, Crashed(message="Process exited with status code -9"))
    aside = entries(watcher)["a.npy"]
    assert aside.state == "set aside"
    assert aside.reason == "given up after 3 attempts: Process exited with status code -9"


def test_a_run_cancelled_by_hand_is_not_started_again(watcher, box):
    entry = entries_of_one(watcher, box, seed=34)
    come_to(entry, Cancelled())
    aside = entries(watcher)["a.npy"]
    assert aside.state == "set aside"
    assert "cancelled" in aside.reason


def test_a_run_that_the_server_has_lost_is_made_again(watcher, box):
    entry = entries_of_one(watcher, box, seed=35)
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(entry.flow_run))
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(entry.flow_run)]))
        assert client.read_flow_runs(flow_run_filter=wanted) == []
    made = entries(watcher)["a.npy"]
    assert made.state == "waiting"
    assert made.flow_run not in ("", entry.flow_run)


def test_a_file_of_which_the_rights_are_missing_is_quarantined(deployed, watched, box):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = write_images(box / "a.npy", seed=36)
    path.chmod(0)
    watcher = Watcher(watched())
    assert "cannot be read (Permission denied)" in entries(watcher)["a.npy"].reason
    path.chmod(0o600)
    assert entries(watcher)["a.npy"].state == "waiting"


def test_a_configuration_that_nobody_runs_is_named(prefect_server, watched, box, tmp_path, tiny):
    other = tmp_path / "other.yaml"
    other.write_text(tiny.read_text().replace("tiny", "nobody"))
    write_images(box / "a.npy", seed=37)
    with pytest.raises(ServerError, match="has no deployment process/nobody; deploy it"):
        Watcher(watched(config=str(other))).scan()


def test_of_two_scans_at_once_one_waits_for_its_next_turn(watcher, box):
    with turn_lock(Path(watcher.config.out)):
        assert watcher.scan() is None
    assert watcher.scan() is not None


def test_the_ledger_is_not_touched_when_nothing_happens(watcher, box):
    entry = entries_of_one(watcher, box, seed=38)
    come_to(entry, Completed())
    entries(watcher)
    size = ledger.path_of(Path(watcher.config.out)).stat().st_size
    look = watcher.scan()
    assert look is not None
    assert look.changed == ()
    assert ledger.path_of(Path(watcher.config.out)).stat().st_size == size


def test_what_was_known_of_another_state_is_replaced_not_kept(watcher, box):
    entry = entries_of_one(watcher, box, seed=39)
    out = Path(watcher.config.out)
    ledger.write(out, [replace(entry, state="running")])  # as a slower watcher would have it
    assert entries(watcher)["a.npy"].state == "waiting"


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("glances", [True, False])
def test_between_two_scans_only_a_glance_sees_what_arrives(glances, watched, box, monkeypatch):
    monkeypatch.setattr(polling, "GLANCE_SECONDS", 0.0)
    monkeypatch.setattr(polling, "GLANCE_SHARE", 1.0)
    told: list[str] = []
    config = watched(interval=3600, settle=3600, glances=glances)
    follower = polling.Follower(Watcher(config), told.append)
    follower.step()
    write_images(box / "a.npy", seed=1)
    for _ in range(20):
        time.sleep(0.01)
        follower.step()
    assert told == (["a: settling"] if glances else [])
