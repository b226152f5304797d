"""The ledger: the last word on every recording, whoever writes and whenever it is killed."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from flows.watching import ledger
from flows.watching.ledger import Entry

FIRST = Entry("scan_1", ("/box/scan_1.ibw",), "ab12", "waiting", "2026-01-01T00:00:00+00:00")
SECOND = Entry(
    "scan_2", ("/box/scan_2.mib", "/box/scan_2.hdr"), "", "settling", "2026-01-01T00:00:00+00:00"
)

WRITE_MANY = """
import sys
from pathlib import Path
from flows.watching import ledger
for n in range(50):
    entry = ledger.Entry(f"r{n}", (f"/{sys.argv[2]}/{n}",), "", "waiting", ledger.utc_now(), reason="x" * 6000)
    ledger.write(Path(sys.argv[1]), [entry])
"""


def test_an_output_folder_that_was_never_watched_has_no_recordings(tmp_path):
    assert ledger.read(tmp_path) == []


def test_what_is_written_is_read(tmp_path):
    ledger.write(tmp_path, [FIRST, SECOND])
    assert ledger.read(tmp_path) == [FIRST, SECOND]


def test_the_last_word_on_a_recording_counts(tmp_path):
    ledger.write(tmp_path, [FIRST, SECOND])
    done = replace(FIRST, state="done", flow_run="7")
    ledger.write(tmp_path, [done])
    assert ledger.read(tmp_path) == [done, SECOND]


def test_a_forgotten_recording_is_gone_and_may_come_back(tmp_path):
    ledger.write(tmp_path, [FIRST, SECOND])
    ledger.forget(tmp_path, [FIRST.key])
    assert ledger.read(tmp_path) == [SECOND]
    ledger.write(tmp_path, [FIRST])
    assert ledger.read(tmp_path) == [SECOND, FIRST]


def test_a_line_that_was_cut_off_costs_nothing_else(tmp_path):
    ledger.write(tmp_path, [FIRST])
    with ledger.path_of(tmp_path).open("ab") as file:
        file.write(b'{"recording": "scan_9", "fil')
    assert ledger.read(tmp_path) == [FIRST]
    ledger.write(tmp_path, [SECOND])
    assert ledger.read(tmp_path) == [FIRST, SECOND]


def test_fields_of_another_version_are_ignored(tmp_path):
    ledger.write(tmp_path, [FIRST])
    path = ledger.path_of(tmp_path)
    path.write_text(path.read_text().replace('"digest"', '"due": "", "digest"'))
    assert '"due"' in path.read_text()
    assert ledger.read(tmp_path) == [FIRST]


def test_names_that_are_no_text_survive(tmp_path):
    odd = replace(FIRST, recording="a\n<b>", files=("/box/\udce4\n.ibw",))
    ledger.write(tmp_path, [odd])
    assert ledger.read(tmp_path) == [odd]


def test_a_long_history_is_written_anew(tmp_path):
    long = replace(FIRST, reason="x" * 400_000)
    for _ in range(6):
        ledger.write(tmp_path, [long, SECOND])
    assert ledger.path_of(tmp_path).stat().st_size < 3 * 400_000
    assert ledger.read(tmp_path) == [long, SECOND]


def test_two_writers_at_once_lose_nothing(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_MANY, str(tmp_path), name])
        for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    keys = {entry.key for entry in ledger.read(tmp_path)}
    assert keys == {f"/{name}/{n}" for name in ("a", "b") for n in range(50)}


@pytest.mark.parametrize(
    "change",
    [
        {"since": "garbage"},
        {"since": "2026-01-01"},
        {"since": 5},
        {"files": "/box/scan_1.ibw"},
        {"files": [1]},
        {"recording": None},
        {"attempts": "many"},
        {"asked": 1},
        {"digest": []},
    ],
)
def test_a_line_with_a_bad_field_is_that_recordings_alone(tmp_path, change):
    ledger.write(tmp_path, [FIRST, SECOND])
    bad = {**json.loads(json.dumps(asdict(SECOND))), **change}
    with ledger.path_of(tmp_path).open("a") as file:
        file.write(json.dumps(bad) + "\n" + "[" * 100_000 + "\n")
    assert ledger.read(tmp_path) == [FIRST, SECOND]
    ledger.path_of(tmp_path).with_name(ledger.LOCK).write_text("garbage")
    ledger.write(tmp_path, [FIRST])
    assert ledger.read(tmp_path) == [FIRST, SECOND]
