"""Checks of a Prefect server: schedules, GPU slot, dead runs, UI and access."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.schedules import RRule, Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from benchmarks.standstills.dripping import dripping_server
from flows.service.doctor import reachable
from flows.service.doctor import server as checks
from flows.service.doctor.access import check_access, check_page, is_loopback
from flows.service.doctor.check import Check
from flows.service.doctor.reachable import (
    NoServer,
    Server,
    ask_server,
    reachable_server,
    without_login,
)
from tasks.gpu_slot import LIMIT

NEVER = RRule("FREQ=DAILY;UNTIL=20200101T000000Z")


@flow
def nothing() -> None: ...


def verdicts(found: list[Check]) -> list[str]:
    return [check.verdict for check in found]


@pytest.fixture
def client(prefect_server) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deploy(client) -> Iterator[Callable]:
    """Creates deployments with a schedule; deleted afterwards."""
    made = []

    def do(name: str, schedule: Schedule) -> None:
        deployment: Any = nothing.to_deployment(name, schedule=schedule)
        made.append(deployment.apply())

    yield do
    for deployment in made:
        client.delete_deployment(deployment)


def test_a_schedule_without_runs_is_named(client, deploy, monkeypatch):
    deploy("never", NEVER)
    young = checks.check_schedules(client)
    monkeypatch.setattr(checks, "YOUNG", timedelta(0))
    old = checks.check_schedules(client)
    assert [*verdicts(young), *verdicts(old)] == ["warn", "fail"]
    assert "never has an active schedule but no future run" in old[0].found
    assert "sqlalchemy" in old[0].remedy


def test_overdue_runs_are_a_warning(client):
    before = datetime.now(UTC) - timedelta(minutes=10)
    run = client.create_flow_run(nothing, name="left-lying", state=Scheduled(scheduled_time=before))
    try:
        warned = [check for check in checks.check_schedules(client) if check.name == "runner"]
        assert verdicts(warned) == ["warn"]
        assert warned[0].found == "1 runs are overdue, such as left-lying"
    finally:
        client.delete_flow_run(run.id)


def test_a_missing_gpu_slot_is_a_failure_with_a_gpu_and_created_by_fix(client):
    missed = checks.check_limit(client, fix=False, has_gpu=True)
    elsewhere = checks.check_limit(client, fix=False, has_gpu=False)
    assert [*verdicts(missed), *verdicts(elsewhere)] == ["fail", "warn"]
    assert "invae doctor --fix" in missed[0].remedy
    try:
        assert verdicts(checks.check_limit(client, fix=True, has_gpu=True)) == ["ok"]
        there = checks.check_limit(client, fix=False, has_gpu=True)
        assert there[0].found == "0 of 1 taken"
    finally:
        client.delete_global_concurrency_limit_by_name(LIMIT)


def zombies(within: float) -> AutomationCore:
    return AutomationCore.model_validate(
        {
            "name": "dead runs",
            "trigger": {
                "type": "event",
                "posture": "Proactive",
                "within": within,
                "after": ["prefect.flow-run.heartbeat"],
                "expect": ["prefect.flow-run.*"],
            },
            "actions": [{"type": "do-nothing"}],
        }
    )


@pytest.mark.parametrize(
    ("beat", "verdict"), [(30, "ok"), (40, "warn"), (180, "fail"), (None, "fail")]
)
def test_the_window_for_dead_runs_holds_three_heartbeats(client, beat, verdict):
    automation = client.create_automation(zombies(90))
    try:
        found = checks.check_zombies(client, own_beat=beat)
        assert verdicts(found) == [verdict]
        assert "dead runs" in found[0].found
    finally:
        client.delete_automation(automation)


def test_without_work_pools_no_automation_is_needed(client):
    assert verdicts(checks.check_zombies(client, own_beat=180)) == ["ok"]


@pytest.mark.parametrize(
    ("variables", "beat"),
    [
        (None, 180.0),
        ({}, 180.0),
        ({"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}, 30.0),
    ],
)
def test_the_heartbeat_is_that_of_the_deployment_or_the_default(variables, beat):
    assert checks.beat_of(variables, 180.0) == beat


def test_the_ui_of_a_server_finds_its_api(prefect_server):
    page = check_page(prefect_server)
    assert page[0].name == "UI"


@contextmanager
def answering(status: int, values: object) -> Iterator[str]:
    """Address of a server with one answer to every request."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(values).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://0.0.0.0:{served.server_port}/api"
        finally:
            served.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("/api", "ok"),
        ("http://127.0.0.1:4200/api", "fail"),
        ("http://0.0.0.0:9/api", "fail"),
    ],
    ids=["relative", "the reader's own machine", "silent"],
)
def test_a_ui_with_the_wrong_address_of_the_api_is_a_failure(told, verdict):
    with answering(200, {"api_url": told}) as address:
        assert verdicts(check_page(address)) == [verdict]


def test_a_server_without_a_ui_is_a_warning():
    with answering(404, {}) as address:
        assert verdicts(check_page(address)) == ["warn"]


def test_a_network_server_without_a_login_is_a_failure():
    with answering(200, []) as address:
        found = check_access(address, own=[])
    assert verdicts(found) == ["fail"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in found[0].remedy


def test_a_login_without_encryption_is_a_warning():
    with answering(401, {}) as address:
        assert verdicts(check_access(address, own=[])) == ["warn"]


def test_a_server_of_this_machine_without_a_login_is_a_warning(prefect_server):
    found = check_access(prefect_server, own=[])
    assert verdicts(found) == ["warn"]
    assert "web page on this machine" in found[0].found
    with answering(401, {}) as address:
        assert verdicts(check_access(address.replace("0.0.0.0", "127.0.0.1"), own=[])) == ["ok"]


def test_a_server_of_this_machine_that_also_listens_on_the_network_is_a_failure(prefect_server):
    found = check_access(prefect_server, own=["0.0.0.0"])
    assert verdicts(found) == ["fail"]
    assert "also listens on 0.0.0.0" in found[0].found


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.3", False), ("lab", False)],
)
def test_the_loopback_is_recognised_by_its_address(host, alone):
    assert is_loopback(host) is alone


def test_the_server_that_is_set_is_reached(prefect_server):
    with reachable_server() as server:
        assert isinstance(server, Server)
        assert server.address == prefect_server


@pytest.mark.parametrize(
    ("status", "words"), [(401, "needs a login; set PREFECT_API_AUTH_STRING"), (500, "answers 500")]
)
def test_a_refusing_server_is_reported_without_the_password(status, words):
    with answering(status, {}) as address:
        secret = address.replace("//", "//operator:hunter2@")
        with temporary_settings({PREFECT_API_URL: secret}), reachable_server() as server:
            assert isinstance(server, NoServer)
            assert words in server.reason
            assert "hunter2" not in server.reason + server.address


def test_a_silent_server_is_reported_without_the_password():
    with (
        temporary_settings({PREFECT_API_URL: "http://operator:hunter2@127.0.0.1:9/api"}),
        reachable_server() as server,
    ):
        assert isinstance(server, NoServer)
        assert server.address == without_login("http://operator:hunter2@127.0.0.1:9/api")
        assert "hunter2" not in server.reason


@pytest.mark.parametrize("manner", ["silent", "headers", "body"])
@pytest.mark.parametrize("answered", [(), ("/admin/version",)])
def test_a_dripping_server_is_given_up_whenever_it_begins_to_drip(manner, answered, monkeypatch):
    monkeypatch.setattr(reachable, "SECONDS", 1.0)
    monkeypatch.setattr(reachable, "SECONDS_IN_ALL", 2.0)
    with (
        dripping_server(manner, answered=answered) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
    ):
        began = time.monotonic()
        found = ask_server(lambda server: server.client.read_flows())
        assert time.monotonic() - began < 10
    assert isinstance(found, NoServer)
    assert found.reason.endswith("; start it again, or unset PREFECT_API_URL")
    assert f"{address}/api" in found.reason


def test_a_server_that_is_none_is_named_in_one_line():
    with (
        answering(200, {"no": "flows"}) as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api"}),
    ):
        found = ask_server(lambda server: server.client.read_flows())
    assert isinstance(found, NoServer)
    assert "does not answer as it should" in found.reason
    assert "\n" not in found.reason
