"""One run at a time on a recording, and no trace of one that could not be read."""

import json
import os
import signal
import subprocess
import sys

import pytest

from invae.errors import InputError, StoreError
from tasks.recording_folder import RUN_FILE, exclusive, is_busy, read_record, write_record

HOLDER = """
import sys, time
from tasks.recording_folder import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that works on the folder `scan`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "scan")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_on_the_same_folder_is_refused_and_told_who_has_it(tmp_path, holder):
    with (
        pytest.raises(StoreError, match=f"being worked on by process {holder.pid}"),
        exclusive(tmp_path / "scan"),
    ):
        pass


def test_another_recording_in_the_same_place_is_free(tmp_path, holder):
    with exclusive(tmp_path / "other"):
        pass


def test_the_kernel_frees_the_folder_of_a_holder_that_was_killed(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with exclusive(tmp_path / "scan"):
        pass


def test_the_flow_may_enter_what_its_command_holds(tmp_path):
    with exclusive(tmp_path / "scan"):
        with exclusive(tmp_path / "scan"):
            pass
        assert_locked_for_others(tmp_path)


def assert_locked_for_others(folder):
    code = f"from tasks.recording_folder import exclusive\nwith exclusive({str(folder / 'scan')!r}): pass"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is being worked on" in answer.stderr


def test_a_recording_that_could_not_be_read_leaves_no_folder(tmp_path):
    def read_badly():
        with exclusive(tmp_path / "scan"):
            (tmp_path / "scan" / ".recording.zarr.abc.partial").mkdir(parents=True)
            raise InputError("broken")

    with pytest.raises(InputError):
        read_badly()
    assert not (tmp_path / "scan").exists()


def test_what_was_made_stays_when_a_later_stage_is_refused(tmp_path):
    def fail_later():
        with exclusive(tmp_path / "scan"):
            (tmp_path / "scan" / "recording.zarr").mkdir(parents=True)
            raise InputError("too few sites")

    with pytest.raises(InputError):
        fail_later()
    assert (tmp_path / "scan" / "recording.zarr").exists()


def test_a_record_that_is_not_whole_counts_as_none(tmp_path):
    write_record(tmp_path, {"recording": "scan"})
    assert read_record(tmp_path) == {"recording": "scan"}
    (tmp_path / "run.json").write_text("{")
    assert read_record(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"[1, 2]", b"3", b"\xff\xfe\x00", b'{"stages": {"inge', b"[" * 100_000, b"null"],
    ids=["empty", "list", "number", "not UTF-8", "cut", "deep", "null"],
)
def test_a_damaged_record_counts_as_none(tmp_path, content):
    (tmp_path / RUN_FILE).write_bytes(content)
    assert read_record(tmp_path) == {}


def test_odd_entries_of_a_record_are_left_out(tmp_path):
    line = {"seconds": 1.5, "finished": "2026-01-01T00:00:00+00:00"}
    stages = {
        "ingest": line,
        "describe": 5,
        "train": {"seconds": "long"},
        "embed": {**line, "seconds": True},
    }
    odd = {"paths": "a.npy", "stages": stages, "config": [], "source_sha256": [1], "recording": "a"}
    (tmp_path / RUN_FILE).write_text(json.dumps(odd))
    assert read_record(tmp_path) == {"stages": {"ingest": line}, "recording": "a"}


def test_links_to_a_folder_have_one_lock(tmp_path):
    (tmp_path / "real" / "scan").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "scan").symlink_to(tmp_path / "real" / "scan")
    with exclusive(tmp_path / "link" / "scan"):
        assert is_busy(tmp_path / "real" / "scan")
