"""Every command of the compose file, one after the other as plain processes, up to a recording that is processed."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from invae.config import named
from invae.config.synthetic import DomainsConfig
from invae.synthetic.domains import simulate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployments" / "compose.yaml"
USER = ("operator", "a long secret")
SMALL = "training.epochs=3 describe.patches.window=16 report.dpi=50"


@dataclass(frozen=True)
class Facility:
    """The compose file with the values of one machine in it."""

    services: Mapping[str, Any]
    own: Mapping[str, str]
    """Environment of every process."""
    recordings: Path
    results: Path
    api: str

    def command(self, name: str) -> list[str]:
        program, *words = self.services[name]["command"]
        if program == "python":
            return [sys.executable, *words]
        return [sys.executable, "-m", program, *words]

    def environment(self, name: str) -> dict[str, str]:
        return {**self.own, **self.services[name]["environment"]}

    def run(self, name: str) -> None:
        """A service that ends."""
        subprocess.run(self.command(name), env=self.environment(name), cwd=ROOT, check=True)


@pytest.fixture
def facility(tmp_path, environment, free_port, database) -> Facility:
    """The commands and environments of the services; hosts, ports and folders are those of this machine."""
    recordings, results = tmp_path / "recordings", tmp_path / "results"
    given = {
        "PREFECT_SERVER_API_AUTH_STRING": ":".join(USER),
        "INVAE_DATABASE_PASSWORD": "another secret",
        "INVAE_RECORDINGS": str(recordings),
        "INVAE_RESULTS": str(results),
        "INVAE_CERTIFICATES": str(tmp_path),
    }
    api, dask = str(free_port()), str(free_port())
    here = {
        "5432": database(given["INVAE_DATABASE_PASSWORD"])["PREFECT_SERVER_DATABASE_PORT"],
        "4200": api,
        "8786": dask,
        "0.0.0.0": "127.0.0.1",
        "/recordings": str(recordings),
        "/results": str(results),
        "/tmp/prefect": str(tmp_path / "prefect"),
        "/tmp": str(tmp_path),
    }

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "127.0.0.1" if key.endswith("_HOST") else placed(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [placed(inner) for inner in value]
        if not isinstance(value, str):
            return value
        text = re.sub(
            r"\$\{(\w+)(?::[?-]([^}]*))?\}", lambda found: given.get(found[1], found[2]), value
        )
        text = re.sub(r"(?<=//)(server|dask-scheduler)(?=:)", "127.0.0.1", text)
        return re.sub(rf"(?<![\w./])({'|'.join(here)})(?![\w.])", lambda it: here[it[1]], text)

    services = placed(yaml.safe_load(FILE.read_text())["services"])
    return Facility(services, environment, recordings, results, f"http://127.0.0.1:{api}/api")


def test_the_commands_of_the_compose_file_process_a_recording(facility, start, until):
    series = named.changed({}, ["rows=64", "columns=64", "n_frames=8", "margin=16"])
    facility.recordings.mkdir()  # where nothing arrives, but it is looked at
    source = facility.recordings.parent / "domains.zarr"
    simulate(source, config=DomainsConfig.model_validate(series), seed=11)
    facility.run("migrate")
    server = start(facility.command("server"), facility.environment("server"))
    check = facility.services["server"]["healthcheck"]["test"]
    probe = [sys.executable, *check[2:]]

    def healthy() -> bool:
        assert server.poll() is None
        return not subprocess.run(probe, capture_output=True, check=False).returncode

    until(healthy, "a healthy server")
    assert httpx.post(f"{facility.api}/flows/filter", json={}).status_code == 401
    facility.run("setup")
    facility.run("setup")  # once more, as after an upgrade
    for name in ("dask-scheduler", "dask-worker", "worker"):
        start(facility.command(name), facility.environment(name))

    def ask(path: str, **values: Any) -> Any:
        answer = httpx.post(f"{facility.api}/{path}", json=values, auth=USER, timeout=60)
        return answer.raise_for_status().json()

    deployed = {found["name"]: found for found in ask("deployments/filter")}
    assert set(named.available()) <= set(deployed)
    config = f"{deployed['demo']['parameters']['config']} {SMALL}"
    assert "compute.scheduler=tcp://127.0.0.1:" in config
    run = ask(
        f"deployments/{deployed['demo']['id']}/create_flow_run",
        state={"type": "SCHEDULED"},
        parameters={**deployed["demo"]["parameters"], "sources": [str(source)], "config": config},
    )

    def state() -> dict[str, Any]:
        answer = httpx.get(f"{facility.api}/flow_runs/{run['id']}", auth=USER, timeout=60)
        return answer.raise_for_status().json()["state"]

    ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    until(lambda: state()["type"] in ended, "the end of the run")
    assert state()["type"] == "COMPLETED", state()["message"]
    assert (facility.results / "domains" / "report" / "index.html").is_file()
    watching = {
        "flow_runs": {
            "deployment_id": {"any_": [deployed["watch"]["id"]]},
            "state": {"type": {"any_": ["COMPLETED"]}},
        }
    }
    until(lambda: ask("flow_runs/filter", **watching) != [], "a scheduled look at the recordings")
