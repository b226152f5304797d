"""Every deployment imports, its parameters fit its flow, and each shipped configuration has one that pins it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from invae.config import named

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
DEPLOYMENTS = {deployment["name"]: deployment for deployment in FILE["deployments"]}
ENVIRONMENT = {
    "INVAE_RECORDINGS": "/srv/invae/recordings",
    "INVAE_RESULTS": "/srv/invae/results",
    "INVAE_SCHEDULER": "threads",
}
EVERY = pytest.mark.parametrize("name", DEPLOYMENTS)


def filled(value: Any) -> Any:
    """The parameters as `prefect deploy` writes them: with the values of the environment."""
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return re.sub(r"\{\{ \$(\w+) \}\}", lambda match: ENVIRONMENT[match[1]], value)
    return value


@EVERY
def test_parameters_fit_the_flow(name):
    deployment = DEPLOYMENTS[name]
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(filled(deployment["parameters"]))


def test_every_shipped_configuration_is_deployed_under_its_name_and_version():
    shipped = {name: named.load(name) for name in named.available() if "@" not in name}
    deployed = {
        name: filled(deployment["parameters"])["config"]
        for name, deployment in DEPLOYMENTS.items()
        if deployment["entrypoint"] == "flows.process.process"
    }
    assert {name: text.split()[0] for name, text in deployed.items()} == {
        name: f"{name}@{config.version}" for name, config in shipped.items()
    }
    assert {name: DEPLOYMENTS[name]["description"] for name in deployed} == {
        name: config.description for name, config in shipped.items()
    }


def test_what_is_watched_is_processed_by_a_deployment_that_is_there():
    watched = [d for d in DEPLOYMENTS.values() if d["entrypoint"] == "flows.watch.watch"]
    assert watched
    for deployment in watched:
        config = named.pinned(filled(deployment["parameters"])["config"]["config"])
        assert DEPLOYMENTS[config.name]["entrypoint"] == "flows.process.process"
        (schedule,) = deployment["schedules"]
        assert schedule["interval"] >= 10


def test_names_are_unique():
    assert len(DEPLOYMENTS) == len(FILE["deployments"])


@EVERY
def test_runs_are_tagged_send_heartbeats_and_wait_for_each_other(name):
    deployment = DEPLOYMENTS[name]
    assert "invae" in deployment["tags"], "the automations look at runs with this tag"
    environment = deployment["work_pool"]["job_variables"]["env"]
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert deployment["concurrency_limit"]["collision_strategy"] in {"ENQUEUE", "CANCEL_NEW"}


def test_the_pools_are_those_of_the_operators_page():
    text = (ROOT / "docs" / "facility.md").read_text()
    for pool in {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS.values()}:
        assert f"`{pool}`" in text
        assert f"invae-worker@{pool}" in text
