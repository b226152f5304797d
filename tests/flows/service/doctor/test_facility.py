"""`doctor` and `status` on a server with schedules and a login: what they report, and that they print no secret."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.schedules import Interval
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)

from flows.cli.main import execute
from flows.service.doctor import server as checks
from tasks.gpu_slot import LEASE_SECONDS, LIMIT

pytestmark = pytest.mark.slow

LOGIN = "operator:correct-horse"


@flow
def nothing() -> None: ...


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A server with schedules and a login."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = {
            "PREFECT_HOME": str(tmp_path_factory.mktemp("home")),
            "PREFECT_SERVER_API_AUTH_STRING": LOGIN,
            "PREFECT_SERVER_UI_API_URL": "/api",
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.service.server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **settings},
        )
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with server:
        _wait(f"{address}/api/health")
        yield f"{address}/api"
        server.kill()


def _wait(address: str) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            if httpx.get(address).status_code < 500:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.fixture
def _logged_in(address):
    settings = {
        PREFECT_API_URL: address,
        PREFECT_API_AUTH_STRING: LOGIN,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
    }
    with temporary_settings(settings):  # pyright: ignore[reportArgumentType]
        yield


@pytest.mark.usefixtures("_logged_in")
def test_an_active_schedule_creates_runs_and_the_doctor_reports_it(tmp_path, capsys):
    """With SQLAlchemy 2.1 the server looks healthy, but creates no runs."""
    deployment: Any = nothing.to_deployment("hourly", schedule=Interval(timedelta(hours=1))).apply()  # pyright: ignore[reportAttributeAccessIssue]
    with get_client(sync_client=True) as client:
        end = time.monotonic() + 120
        while checks.check_schedules(client)[0].verdict != "ok" and time.monotonic() < end:
            time.sleep(0.5)
        assert checks.check_schedules(client)[0].found == "1 active, all with future runs"
        assert execute(["doctor", "--out", str(tmp_path), "--fix"]) == 0
        assert "concurrency limit 'gpu' of 1 created" in capsys.readouterr().out
        assert execute(["doctor", "--out", str(tmp_path)]) == 0
        assert "0 of 1 taken" in capsys.readouterr().out
        client.delete_deployment(deployment)


@pytest.mark.usefixtures("_logged_in")
def test_with_the_login_the_status_asks_the_server(address, tmp_path, capsys):
    assert execute(["status", "--out", str(tmp_path)]) == 0
    assert f"server: {address}" in capsys.readouterr().out


def test_without_the_login_it_is_asked_for(address, tmp_path, capsys):
    with temporary_settings({PREFECT_API_URL: address}):
        assert execute(["doctor", "--out", str(tmp_path)]) == 1
    assert "needs a login; set PREFECT_API_AUTH_STRING" in capsys.readouterr().out


@pytest.mark.usefixtures("_logged_in")
def test_a_login_in_the_address_is_not_given_away(address, tmp_path, capsys):
    with temporary_settings({PREFECT_API_URL: address.replace("//", f"//{LOGIN}@")}):
        assert execute(["status", "--out", str(tmp_path)]) == 0
        assert execute(["doctor", "--out", str(tmp_path)]) == 0
    assert "correct-horse" not in "".join(capsys.readouterr())


HOLDER = """
import time
from prefect import flow, task
from tasks.gpu_slot import hold_slot

@task
def hold() -> None:
    with hold_slot("cuda"):
        print("held", flush=True)
        time.sleep(600)

@flow
def run() -> None:
    hold()

run()
"""


@pytest.mark.usefixtures("_logged_in")
def test_the_gpu_of_a_killed_holder_is_free_again(address):
    settings = {"PREFECT_API_URL": address, "PREFECT_API_AUTH_STRING": LOGIN}
    with get_client(sync_client=True) as client:
        checks.make_limit(client)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            stdout=subprocess.PIPE,
            env={**os.environ, **settings},
        )
        with holder:
            assert holder.stdout is not None
            assert b"held\n" in iter(holder.stdout.readline, b"")
            assert checks.check_limit(client, fix=False, has_gpu=True)[0].found == "1 of 1 taken"
            holder.kill()
        end = time.monotonic() + 2 * LEASE_SECONDS + 60
        while _taken(client) and time.monotonic() < end:
            time.sleep(1)
        assert not _taken(client)


def _taken(client: SyncPrefectClient) -> int:
    return client.read_global_concurrency_limit_by_name(LIMIT).active_slots
