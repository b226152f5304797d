"""States of recordings, with and without a server."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zarr
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed, Running, Scheduled

from flows.cli.commands.status import MOST_LINES, lines_of
from flows.cli.main import execute
from flows.process import process
from flows.service import status
from flows.watching import ledger
from invae.errors import visible
from invae.stages import stages
from invae.storage import manifest, store
from tasks.recording_folder import exclusive
from tests.flows.test_killed import command_of, kill_in, start

NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture
def out(undisturbed, tmp_path) -> Path:
    """A folder with one finished recording, `domains`."""
    shutil.copytree(undisturbed.out, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def _no_server():
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        yield


def states(out: Path) -> dict[str, str]:
    return {one.recording: one.state for one in status.overview(out).recordings}


def entry(name: str, state: ledger.State, *, reason: str = "") -> ledger.Entry:
    return ledger.Entry(
        name, (f"/outbox/{name}.ibw",), "", state, "2026-01-02T03:04:05+00:00", reason=reason
    )


@pytest.mark.usefixtures("_no_server")
def test_without_a_server_the_states_come_from_the_folders(out):
    overview = status.overview(out)
    assert not overview.asked_server
    assert [(each.recording, each.state) for each in overview.recordings] == [("domains", "done")]
    assert [(each.instrument, each.recording) for each in overview.instruments] == [
        ("PFM, zarr", "domains")
    ]
    assert overview.instruments[0].finished == status.last_finished(out / "domains")
    assert "no server: no Prefect server answers" in "\n".join(lines_of(overview))


@pytest.mark.usefixtures("_no_server")
def test_a_recording_without_its_last_stages_is_unfinished_and_while_locked_running(out):
    shutil.rmtree(out / "domains" / stages.STAGES["analyse"].output)
    assert states(out) == {"domains": "unfinished"}
    assert (
        "interrupted before analyse was made; run the same command again"
        in status.overview(out).recordings[0].about
    )
    with exclusive(out / "domains"):
        assert states(out) == {"domains": "running"}


@pytest.mark.usefixtures("_no_server")
def test_recordings_of_the_ledger_are_listed_with_those_on_disk(out):
    ledger.write(
        out,
        [
            entry("broken", "set aside", reason="not an array:\n\x1b[2Jtruncated"),
            entry("next", "waiting"),
            entry("growing", "settling"),
        ],
    )
    assert states(out) == {
        "next": "waiting",
        "growing": "settling",
        "broken": "set aside",
        "domains": "done",
    }
    broken = status.overview(out).of("set aside")[0]
    assert broken.about == "not an array: �[2Jtruncated", "control characters are removed"


@pytest.mark.usefixtures("_no_server")
def test_no_control_character_reaches_the_terminal(out, capsys):
    hostile = "\x1b]0;title\x07\x1b[2J<b>\0"
    root = zarr.open_group(out / "domains" / "recording.zarr", mode="r+")
    root.attrs.update({"instrument": hostile, "modality": hostile, hostile: hostile})
    root["phase"].attrs.update({"units": hostile, "long_name": hostile})
    manifest.write(out / "domains" / "recording.zarr")
    for words in (["status", "--out", str(out)], ["info", str(out / "domains" / "recording.zarr")]):
        assert execute(words) == 0
        output = capsys.readouterr().out
        assert "�]0;title" in output
        assert output == visible(output)


@pytest.mark.usefixtures("_no_server")
def test_a_recording_whose_outputs_do_not_belong_together_is_unfinished(out):
    receipt = store.read_receipt(out / "domains" / "descriptors.zarr")
    assert receipt is not None
    store.write_receipt(out / "domains" / "descriptors.zarr", replace(receipt, key="0" * 64))
    (status_of_it,) = status.overview(out).recordings
    assert status_of_it.state == "unfinished"
    assert "interrupted before embed was made" in status_of_it.about


@pytest.mark.usefixtures("_no_server")
def test_a_recording_of_the_ledger_runs_only_while_a_process_works_on_it(out):
    ledger.write(out, [entry("one", "running")])
    assert states(out)["one"] == "running", "no lock tells of its process"
    with exclusive(out / "one"):
        assert states(out)["one"] == "running"
    (one,) = status.overview(out).of("unfinished")
    assert one.recording == "one"
    assert "run the same command again to continue" in one.about


@pytest.mark.usefixtures("_no_server")
def test_reasons_are_complete_however_long_they_are(out, capsys):
    reason = "is truncated; " + "copy the file again, " * 60 + "the end"
    ledger.write(out, [entry("broken", "set aside", reason=reason)])
    assert execute(["status", "--out", str(out)]) == 0
    assert reason in capsys.readouterr().out


@pytest.fixture
def run(prefect_server, out):
    """Creates a run of the flow with a state on the server; deleted afterwards."""
    created = []
    with get_client(sync_client=True) as client:

        def do(name: str, state, *, folder: Path = out) -> None:
            values = {"sources": [f"/outbox/{name}.ibw"], "out": str(folder), "config": {}}
            created.append(client.create_flow_run(process, parameters=values, state=state).id)

        yield do
        for flow_run in created:
            client.delete_flow_run(flow_run)


def test_running_waiting_and_failed_runs_come_from_the_server(out, run):
    run("one", Running())
    run("two", Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1)))
    run("three", Failed(message="InputError: three.ibw is empty at http://me:hunter2@store"))
    run("four", Running(), folder=out / "elsewhere")
    overview = status.overview(out)
    assert overview.asked_server
    assert states(out) == {"one": "running", "two": "waiting", "three": "failed", "domains": "done"}
    (running,), (waiting,) = overview.of("running"), overview.of("waiting")
    assert (running.about, waiting.about) == ("", "Scheduled")
    failed = overview.of("failed")[0]
    assert failed.about == "Failed: InputError: three.ibw is empty at http://***@store"


def test_a_run_whose_process_is_gone_is_not_shown_as_running(out, run, monkeypatch):
    run("one", Running())
    run("domains", Running())
    with exclusive(out / "one"), exclusive(out / "domains"):
        assert states(out) == {"one": "running", "domains": "running"}
    assert states(out)["one"] == "running", "it may not have begun with the folder"
    monkeypatch.setattr(status, "BEGINNING", 0.0)
    assert states(out) == {"one": "unfinished", "domains": "done"}


def test_a_killed_run_is_interrupted_and_the_same_command_is_its_remedy(
    prefect_server, undisturbed, tmp_path, monkeypatch
):
    command, folder = command_of(undisturbed, tmp_path), tmp_path / "out" / undisturbed.folder.name
    process = start(command, prefect_server)
    kill_in("describe", process, folder)
    monkeypatch.setattr(status, "BEGINNING", 0.0)
    overview = status.overview(tmp_path / "out")
    assert overview.asked_server
    (killed,) = overview.recordings
    assert (killed.recording, killed.state) == (folder.name, "unfinished")
    assert killed.about == (
        "interrupted before describe was made; run the same command again to continue"
    )


def test_a_failure_before_the_last_success_does_not_count(out, run):
    record = out / "domains" / "run.json"
    run("domains", Failed(message="before"))
    values = json.loads(record.read_text())
    values["stages"]["report"]["finished"] = "2999-01-01T00:00:00+00:00"
    record.write_text(json.dumps(values))
    assert states(out) == {"domains": "done"}
    values["stages"] = {"report": {"finished": "2000-01-01T00:00:00+00:00"}}
    record.write_text(json.dumps(values))
    assert states(out) == {"domains": "failed"}


@pytest.mark.usefixtures("_no_server")
def test_the_command_prints_lines_or_json(out, capsys):
    ledger.write(out, [entry(f"scan_{n}", "waiting") for n in range(MOST_LINES + 5)])
    assert execute(["status", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "waiting: 25" in text
    assert "… and 5 more" in text
    assert "done: 1" in text
    assert execute(["status", "--out", str(out), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert len(values["recordings"]) == MOST_LINES + 6
    assert values["instruments"][0]["n_recordings"] == 1


@pytest.mark.usefixtures("_no_server")
def test_a_missing_folder_has_no_recordings(tmp_path, capsys):
    assert execute(["status", "--out", str(tmp_path / "none")]) == 0
    assert "0 recordings" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_server")
def test_the_doctor_fails_if_the_server_that_is_set_does_not_answer(out, capsys):
    assert execute(["doctor", "--out", str(out), "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["server"]["verdict"] == "fail"
    assert "unset PREFECT_API_URL" in checks["server"]["remedy"]
    assert checks["shards"]["verdict"] == "ok"


def test_the_doctor_prints_every_check_and_its_remedy(prefect_server, out, capsys):
    """The server of the tests has no setting for the API of its UI; the doctor reports that."""
    assert execute(["doctor", "--out", str(out)]) == 1
    text = capsys.readouterr().out
    assert f"✓ server      answers at {prefect_server}" in text
    assert "✗ UI " in text
    assert "→ set PREFECT_SERVER_UI_API_URL=/api for the server" in text
    assert "! GPU slot    there is no concurrency limit 'gpu'" in text
    assert "✓ shards " in text
