"""Every deployment imports, and its parameters fit its flow."""

from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from flows import configurations
from invae.config import ProcessConfig

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_parameters_fit_the_flow(deployment, monkeypatch):
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployed_configuration_is_the_named_one(deployment):
    values = deployment["parameters"]["config"]
    deployed = ProcessConfig.model_validate(values)
    named = configurations.load(f"{values['name']}@{values['version']}")
    assert deployed.model_copy(update={"description": named.description}) == named


def test_names_are_unique():
    names = [deployment["name"] for deployment in DEPLOYMENTS]
    assert len(set(names)) == len(names)
