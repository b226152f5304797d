"""`invae serve`: login, schedules, restarts, one run per recording, and no process left at the end."""

import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.cli.main import execute
from flows.service.server import LocalServer
from flows.service.supervisor import AUTHENTICATION, require_login
from invae.errors import ConfigError, ServerError
from tests.flows.station import RUN, Serve, stations
from tests.flows.watching.conftest import TINY, write_images


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "instrument.example.org"])
def test_a_network_address_needs_a_login(host, monkeypatch):
    monkeypatch.delenv(AUTHENTICATION, raising=False)
    with pytest.raises(ConfigError, match=f"{host} .* set {AUTHENTICATION}"):
        require_login(host)
    monkeypatch.setenv(AUTHENTICATION, "me:secret")
    require_login(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "localhost", "::1"])
def test_the_loopback_needs_no_login(host, monkeypatch):
    monkeypatch.delenv(AUTHENTICATION, raising=False)
    require_login(host)


def test_serving_without_a_login_is_refused_before_anything_starts(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv(AUTHENTICATION, raising=False)
    assert execute(["serve", "--host", "0.0.0.0", "--port", "0", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "--host 0.0.0.0" in error
    assert "to USER:PASSWORD in the environment" in error, "the remedy is not masked as a secret"


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} .* give another --port"):
            LocalServer(port=port)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["{nowhere}"], "nowhere is not a folder"),
        (["{box}", "--config", "pfm-wals"], "did you mean pfm-walls"),
        (["{box}", "--set", "setle=3"], "watch.setle: there is no such key; did you mean settle"),
        (["{box}", "--set", "settle=-1"], "watch.settle: Input should be greater than"),
        (["{box}", "--retry", "scan_7"], "'scan_7' is not in quarantine"),
    ],
)
def test_an_error_is_one_line(words, error, tmp_path, capsys):
    (tmp_path / "box").mkdir()
    places = {"box": tmp_path / "box", "nowhere": tmp_path / "nowhere"}
    words = [word.format(**places) for word in words]
    assert execute(["watch", *words, "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert error in line
    assert len(line.strip().splitlines()) == 1


@pytest.fixture
def serve(tmp_path) -> Iterator[Serve]:
    """Starts `invae serve --watch`."""
    with stations(tmp_path, TINY) as start:
        yield start


def drop(path: Path, *, seed: int) -> None:
    """Write a recording in two steps, as an instrument does."""
    hidden = write_images(path.with_name(f".{path.name}"), seed=seed)
    whole = hidden.read_bytes()
    hidden.unlink()
    for start in range(0, len(whole), len(whole) // 2 + 1):
        with path.open("ab") as file:
            file.write(whole[start : start + len(whole) // 2 + 1])
        time.sleep(0.2)


@pytest.mark.slow
def test_new_recordings_are_processed_once_broken_ones_quarantined_and_ctrl_c_ends_everything(
    serve, tmp_path
):
    served = serve("--set", "settle=1", "--set", "interval=5")
    drop(served.box / "a.npy", seed=1)
    (served.box / "broken.npy").write_bytes(b"no array")
    (served.box / "link.npy").symlink_to("/etc/hostname")
    aside = served.wait_until("broken.npy", "set aside")
    done = served.wait_until("a.npy", "done")
    shutil.copy(served.box / "a.npy", served.box / "copy.npy")
    copy = served.wait_until("copy.npy", "done")
    assert copy.flow_run == done.flow_run
    assert "broken.npy" in aside.reason
    assert "Traceback" in served.failure_of(aside)
    assert served.known()["link.npy"].state == "set aside"
    assert (served.out / "a" / "report" / "index.html").is_file()
    served.wait_for(lambda: any(run["state_type"] == "COMPLETED" for run in served.runs("watch")))
    scheduled = [run for run in served.runs("watch") if run["state_type"] == "SCHEDULED"]
    assert scheduled, "the schedule makes runs"
    assert all(run["auto_scheduled"] for run in scheduled)
    assert {run["name"] for run in served.runs("process")} == {"process a", "process broken"}
    code, output = served.stop()
    assert code == 0
    assert "stopped; interrupted runs continue" in output
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize(
    "victim", ["flows.service.runner", "flows.service.server", "flows.service.warm", RUN]
)
def test_a_killed_process_is_restarted_and_the_recording_keeps_its_one_run(serve, victim):
    served = serve("--set", "settle=1", "--set", "interval=3600", "--set", "backoff=1")
    drop(served.box / "a.npy", seed=2)
    served.wait_until("a.npy", "running")
    served.child(victim).kill()
    done = served.wait_until("a.npy", "done")
    (run,) = served.runs("process")
    assert run["id"] == done.flow_run
    assert run["run_count"] == 2
    assert served.stop(signal.SIGTERM)[0] == 0


@pytest.mark.slow
def test_a_killed_command_continues_its_runs(serve):
    served = serve("--set", "settle=1", "--set", "interval=3600")
    drop(served.box / "a.npy", seed=3)
    first = served.wait_until("a.npy", "running")
    started = served.started
    served.process.kill()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    served = serve("--set", "settle=1", "--set", "interval=3600")
    done = served.wait_until("a.npy", "done")
    assert done.flow_run == first.flow_run
    assert len(served.runs("process")) == 1
