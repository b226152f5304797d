"""Several flows at once on PostgreSQL, and a recording from file to report with its record on such a server."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from invae.config import named
from invae.config.synthetic import DomainsConfig
from invae.synthetic.domains import simulate

pytestmark = pytest.mark.slow

FLOWS, TASKS = 4, 100

MANY = f"""
from prefect import flow, task

@task
def one(number):
    return number

@flow
def many():
    return [one(number) for number in range({TASKS})]

if __name__ == "__main__":
    many()
"""


@pytest.fixture
def address(database, serve) -> str:
    """The API of a server on PostgreSQL."""
    return serve(**database("a secret: with @ and /"))


def count(address: str, what: str, state: str) -> int:
    wanted = {what: {"state": {"type": {"any_": [state]}}}}
    return httpx.post(f"{address}/{what}/count", json=wanted, timeout=60).json()


def test_four_flows_at_once_do_not_lock_the_database(address, start, environment, until, tmp_path):
    program = tmp_path / "many.py"
    program.write_text(MANY)
    began = time.monotonic()
    settings = {**environment, "PREFECT_API_URL": address}
    flows = [start([sys.executable, str(program)], settings) for _ in range(FLOWS)]
    assert [process.wait() for process in flows] == [0] * FLOWS
    print(f"{FLOWS} flows of {TASKS} tasks at once: {time.monotonic() - began:.0f} s")
    assert count(address, "flow_runs", "COMPLETED") == FLOWS
    # states of tasks are recorded from events, a little later
    until(lambda: count(address, "task_runs", "COMPLETED") == FLOWS * TASKS, "all task runs")
    logs = [log.read_text(errors="replace") for log in tmp_path.glob("*.log")]
    assert not any("locked" in log or "deadlock" in log for log in logs)


def test_a_recording_is_processed_with_its_record_on_postgresql(address, environment, tmp_path):
    recording, out = tmp_path / "domains.zarr", tmp_path / "results"
    series = named.changed({}, ["rows=64", "columns=64", "n_frames=8", "margin=16"])
    simulate(recording, config=DomainsConfig.model_validate(series), seed=11)
    changes = ["training.epochs=3", "describe.patches.window=16", "report.dpi=50"]
    words = ["run", str(recording), "--config", "demo", "--out", str(out)]
    words += [word for change in changes for word in ("--set", change)]
    answer = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", *words],
        env={**environment, "PREFECT_API_URL": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert Path(answer.stdout.strip()).is_file()
    assert count(address, "flow_runs", "COMPLETED") == 1
    keys = {a["key"] for a in httpx.post(f"{address}/artifacts/filter", json={}).json()}
    assert {"domains-summary", "domains-training", "domains-page"} <= keys
