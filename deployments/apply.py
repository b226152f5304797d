"""Registers everything in `deployments/` on the server that PREFECT_API_URL names: `python -m deployments.apply`.

Existing pools and the GPU's slot are not changed; deployments and automations are updated from the files. Run it after every upgrade, or at
any other time. It deletes nothing.
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
"""Environment variables that the files refer to."""


def apply(environment: Mapping[str, str]) -> None:
    """Register pools, the GPU's slot, deployments and automations.

    Raises:
        ConfigError: if a variable is not set.
        InvaeError: if Prefect refuses a deployment.
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
    """Names of the pools of all deployments."""
    deployments: list[dict[str, Any]] = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    return sorted({deployment["work_pool"]["name"] for deployment in deployments})


def automations() -> list[AutomationCore]:
    """The automations of the file."""
    values = yaml.safe_load(AUTOMATIONS.read_text())["automations"]
    return [AutomationCore.model_validate(value) for value in values]


def make_pool(client: SyncPrefectClient, name: str) -> str:
    """Create a pool of processes unless it exists; returns the action."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(
            WorkPoolCreate(name=name, type="process", base_job_template=template)
        )
        return "created"
    return "exists"


def make_automation(client: SyncPrefectClient, automation: AutomationCore) -> str:
    """Create an automation, or update those of the same name; returns the action."""
    existing = client.read_automations_by_name(automation.name)
    for old in existing:
        client.update_automation(old.id, automation)
    if not existing:
        client.create_automation(automation)
    return "updated" if existing else "created"


def deploy() -> None:
    """Register the deployments on the server.

    Raises:
        InvaeError: if Prefect refuses one.
    """
    words = ["--no-prompt", "deploy", "--prefect-file", str(DEPLOYMENTS), "--all"]
    answer = subprocess.run([sys.executable, "-m", "prefect", *words], check=False)
    if answer.returncode:
        raise InvaeError(f"{DEPLOYMENTS} was not deployed; see Prefect's message above")


if __name__ == "__main__":
    try:
        apply(os.environ)
    except InvaeError as error:
        sys.exit(f"deployments.apply: {error}")
