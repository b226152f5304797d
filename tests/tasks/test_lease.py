"""One run at a time on a recording that lies on an object store."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from uuid import uuid4

import pytest

from invae.errors import StoreError
from invae.storage.location import as_path
from tasks import lease
from tasks.lease import Holder
from tasks.recording_folder import exclusive, is_busy

HOLDER = """
import sys, time
from tasks.recording_folder import exclusive, is_busy
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(s3_bucket):
    return as_path(f"s3://{s3_bucket}/{uuid4().hex}/scan")


def leave(folder, holder: Holder) -> None:
    """A lease as another process has left it."""
    folder.with_name(".scan.lock").write_text(json.dumps(asdict(holder)))


def test_a_second_run_is_refused_while_the_first_lives_and_not_when_it_is_dead(folder):
    words = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=f"by process {first.pid} on "), exclusive(folder):
            pass
        first.kill()
    with exclusive(folder):
        pass


def test_a_finished_run_leaves_the_place_free(folder):
    for _ in range(2):
        with exclusive(folder), exclusive(str(folder)):  # the flow enters what the command holds
            pass


def test_a_lease_from_another_machine_counts_until_it_ends(folder):
    leave(folder, Holder(host="elsewhere", process=1, until=time.time() + 60))
    with pytest.raises(StoreError, match="by process 1 on elsewhere; wait for it"):
        lease.Lease(folder).acquire()
    assert is_busy(folder)
    leave(folder, Holder(host="elsewhere", process=1, until=time.time() - 1))
    assert not is_busy(folder)
    lease.Lease(folder).acquire()


def test_whoever_lost_the_lease_is_told(folder, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_BETWEEN", 0.05)
    with ExitStack() as working:
        lost = working.enter_context(lease.leased(folder))
        leave(folder, Holder(host="elsewhere", process=1))
        assert lost.wait(60)
        with pytest.raises(StoreError, match="another run took over"):
            working.close()


def test_a_lease_is_renewed(folder, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_BETWEEN", 0.05)
    lock, end = folder.with_name(".scan.lock"), time.monotonic() + 60
    with lease.leased(folder):
        first = json.loads(lock.read_bytes())["until"]
        while json.loads(lock.read_bytes())["until"] == first:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert json.loads(lock.read_bytes())["until"] < time.time()
