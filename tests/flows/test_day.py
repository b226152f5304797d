"""The page of one day: recordings received, done and quarantined, and GPU hours."""

import json
import shutil
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.day import day
from flows.service.daily_page import MOST_ROWS, Day, is_on, page_of, processed_on, summarise
from flows.watching import ledger
from tasks.recording_folder import read_record

TODAY = datetime.now().astimezone().date()


@pytest.fixture
def out(undisturbed, tmp_path) -> Path:
    """A recording of today, its model trained on a GPU for two hours, and one that was quarantined."""
    out = tmp_path / "results"
    shutil.copytree(undisturbed.out, out)
    record = read_record(out / "domains")
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    for stage in record["stages"].values():
        stage["finished"] = now
    record["stages"]["train"] |= {"gpu_seconds": 7200.0, "device": "a GPU"}
    (out / "domains" / "run.json").write_text(json.dumps(record))
    files, reason = ("/outbox/broken.ibw",), "is <b>empty</b> | [x](http://a)"
    ledger.write(out, [ledger.Entry("broken", files, "", "set aside", now, reason=reason)])
    return out


def test_a_day_counts_recordings_received_and_done_and_gpu_hours(prefect_server, out):
    summary = summarise(out, TODAY)
    assert (summary.received, summary.done, len(summary.quarantined)) == (2, 1, 1)
    assert summary.gpu_hours == 2.0
    assert summary.hours * 3600 == pytest.approx(
        sum(stage["seconds"] for stage in read_record(out / "domains")["stages"].values())
    )


def test_another_day_is_empty(prefect_server, out):
    summary = summarise(out, TODAY - timedelta(days=3))
    assert (summary.received, summary.done, summary.gpu_hours) == (0, 0, 0)
    assert "No recording was processed." in page_of(summary)


def test_a_recording_whose_report_alone_is_of_today_is_not_new(out):
    record = read_record(out / "domains")
    for name, stage in record["stages"].items():
        stage["finished"] = stage["finished"] if name == "report" else "2001-01-01T00:00:00+00:00"
    (out / "domains" / "run.json").write_text(json.dumps(record))
    processed = processed_on(out / "domains", TODAY)
    assert processed is not None
    assert (processed.is_new, processed.is_done) == (False, True)


def test_a_long_table_says_how_many_rows_it_leaves_out():
    broken = [
        ledger.Entry(f"scan_{n}", (), "", "set aside", "", reason="is empty")
        for n in range(MOST_ROWS + 2)
    ]
    page = page_of(Day(TODAY, processed=(), quarantined=broken, unresolved=()))
    assert page.count("is empty") == MOST_ROWS
    assert page.endswith("and 2 more")


def test_a_day_is_in_local_time(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert is_on("2026-03-01T20:00:00+00:00", date(2026, 3, 2))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert not is_on("", TODAY)


def test_the_page_is_an_artifact_with_links_to_the_reports(prefect_server, out):
    page = day(str(out))
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[f"day-{TODAY.isoformat()}"]))
    with get_client(sync_client=True) as client:
        artifact = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC)[0]
    assert artifact.data == page
    assert "| 2 | 1 | 1 | 2.00 h |" in page
    assert "[report](/artifacts/key/domains-page)" in page
    assert r"| broken | is &lt;b\>empty&lt;/b\> \| \[x\](http:\//a) |" in page
