"""Bring everything of `deployments/` to the server that PREFECT_API_URL names: `python -m deployments.apply`.

Pools and the GPU's slot stay as they are if they are there, deployments and automations become what the files say; so it may be run at any
time, and is after every upgrade. Nothing is taken away.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.service.doctor.server import check_limit
from invae.errors import ConfigError, InvaeError

FOLDER = Path(__file__).parent
DEPLOYMENTS = FOLDER / "prefect.yaml"
AUTOMATIONS = FOLDER / "automations.yaml"

NEEDED = {
    "PREFECT_API_URL": "address of the server, such as https://prefect.example.org/api",
    "INVAE_RECORDINGS": "folder that the instruments write to",
    "INVAE_RESULTS": "folder or address where results go",
    "INVAE_SCHEDULER": "threads, or the address of a Dask scheduler",
}
"""Variables of the environment that the files refer to."""


def apply(environment: Mapping[str, str]) -> None:
    """Make pools, the GPU's slot, deployments and automations what the files say.

    Raises:
        ConfigError: if a variable is not set.
        InvaeError: if a deployment cannot be made.
    """
    for name, meaning in NEEDED.items():
        if not environment.get(name):
            raise ConfigError(f"{name} is not set: {meaning}")
    with get_client(sync_client=True) as client:
        for pool in pools():
            print(f"pool {pool}: {make_pool(client, pool)}")
        for check in check_limit(client, fix=True, has_gpu=False):
            print(f"{check.name}: {check.found}")
        deploy()
        for automation in automations():
            print(f"automation {automation.name}: {make_automation(client, automation)}")


def pools() -> list[str]:
    """Names of the pools that the deployments name."""
    deployments: list[dict[str, Any]] = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    return sorted({deployment["work_pool"]["name"] for deployment in deployments})


def automations() -> list[AutomationCore]:
    """The automations of the file."""
    values = yaml.safe_load(AUTOMATIONS.read_text())["automations"]
    return [AutomationCore.model_validate(value) for value in values]


def make_pool(client: SyncPrefectClient, name: str) -> str:
    """Make a pool of processes, unless it is there; what has been done."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(
            WorkPoolCreate(name=name, type="process", base_job_template=template)
        )
        return "made"
    return "there"


def make_automation(client: SyncPrefectClient, automation: AutomationCore) -> str:
    """Make an automation, or make those of its name equal to it; what has been done."""
    found = client.read_automations_by_name(automation.name)
    for known in found:
        client.update_automation(known.id, automation)
    if not found:
        client.create_automation(automation)
    return "replaced" if found else "made"


def deploy() -> None:
    """Hand the deployments to the server.

    Raises:
        InvaeError: if Prefect says no.
    """
    words = ["--no-prompt", "deploy", "--prefect-file", str(DEPLOYMENTS), "--all"]
    answer = subprocess.run([sys.executable, "-m", "prefect", *words], check=False)
    if answer.returncode:
        raise InvaeError(f"{DEPLOYMENTS} was not deployed; what Prefect says stands above")


if __name__ == "__main__":
    try:
        apply(os.environ)
    except InvaeError as error:
        sys.exit(f"deployments.apply: {error}")
