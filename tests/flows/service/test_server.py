"""The temporary server of a command: one address, and no process left after the command."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from io import BytesIO

import httpx
import psutil
import pytest

from benchmarks.standstills.dripping import dripping_server
from flows.service import server
from invae.errors import ServerError
from tests.flows.service.doctor.test_server import answering

RUN = """
import sys, time
from flows.service import server
server.prepare_environment(verbose=False)
with server.prefect_api(lambda text: print(text, flush=True)) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def command(tmp_path):
    """A command with a temporary server: its process and the address of the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**_without_prefect(), "PREFECT_HOME": str(tmp_path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Prefect UI at http://127.0.0.1:")
        yield process, process.stdout.readline().strip()
        process.kill()


def _without_prefect() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}


def test_the_server_of_a_killed_command_ends(command):
    process, address = command
    served_by = psutil.Process(process.pid).children()[0]
    places = {place.laddr.ip for place in served_by.net_connections() if place.status == "LISTEN"}
    assert places == {"127.0.0.1"}, "it is not reachable from the network"
    page = httpx.get(address.removesuffix("/api"), follow_redirects=True)
    assert page.is_success
    assert "<html" in page.text, "the UI is served"
    assert httpx.get(f"{address}/health").is_success
    os.kill(process.pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while served_by.is_running() and served_by.status() != "zombie" and time.monotonic() < end:
        time.sleep(0.05)
    assert not served_by.is_running() or served_by.status() == "zombie"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/health")


def test_a_server_that_is_set_but_does_not_answer_is_named(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", RUN],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={
            **_without_prefect(),
            "PREFECT_HOME": str(tmp_path),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
        },
    )
    assert "no Prefect server answers at http://127.0.0.1:9/api" in answer.stderr
    assert "unset PREFECT_API_URL" in answer.stderr


@pytest.mark.parametrize(
    ("status", "version", "words"),
    [
        (200, "", "does not answer as a Prefect server should (Invalid version: '')"),
        (200, "latest", "(Invalid version: 'latest')"),
        (200, None, "does not answer as a Prefect server should"),
        (200, {"no": "version"}, "does not answer as a Prefect server should"),
        (200, "1.0.0", "Found incompatible versions"),
        (404, {}, "404 Not Found"),
        (401, {}, "needs a login; set PREFECT_API_AUTH_STRING=USER:PASSWORD"),
    ],
)
def test_a_server_of_no_or_another_version_is_one_line(status, version, words):
    with answering(status, version) as address, pytest.raises(ServerError) as refused:
        server.require_answer(address.replace("//", "//operator:hunter2@"))
    line = str(refused.value)
    assert words in line
    assert "\n" not in line
    assert "hunter2" not in line


def test_a_server_that_drips_its_version_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(server, "STOP_SECONDS", 1.0)
    with dripping_server("body", answered=["/health"]) as address:
        began = time.monotonic()
        with pytest.raises(ServerError, match="does not answer as a Prefect server should"):
            server.require_answer(address)
        assert time.monotonic() - began < 10


def test_settings_of_the_user_stay(monkeypatch):
    for name in {**server.DEFAULTS, **server.QUIET}:
        monkeypatch.setenv(name, "mine")
    server.prepare_environment(verbose=False)
    assert all(os.environ[name] == "mine" for name in {**server.DEFAULTS, **server.QUIET})


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "one\nModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError: No module named 'x'",
        ),
        (
            "Fatal Python error: init_import_site: no site\nCurrent thread 0x1:\n  <no Python frame>\n",
            "Fatal Python error: init_import_site: no site",
        ),
        (
            "alembic.util.exc.CommandError: Can't locate revision identified by '1a'\n\nERROR:    Application startup failed. Exiting.\n",
            "alembic.util.exc.CommandError: Can't locate revision identified by '1a'; a newer Prefect has changed the "
            "database: update Prefect, or set PREFECT_HOME to another folder",
        ),
        ("", "no output"),
        ("no error\nERROR:    is named here", "ERROR:    is named here"),
    ],
)
def test_the_cause_in_a_log_is_its_last_error_or_line(log, line):
    assert server.last_line(BytesIO(log.encode())) == line


def test_a_database_of_a_newer_prefect_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('fffffffffff1')")
    started = server.LocalServer()
    with pytest.raises(ServerError, match="a newer Prefect has changed the database: update"):
        started.wait()
    started.stop()
