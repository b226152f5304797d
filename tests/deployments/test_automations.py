"""A run whose process was killed with everything that could tell of it is found out; a healthy one is left alone."""

import sys
import textwrap
import time

import pytest
import yaml
from prefect.events.schemas.automations import EventTrigger

from deployments import apply

SIGN_OF_LIFE = 30
"""Seconds between heartbeats, as prefect.yaml has them."""

FLOW = """
from prefect import flow

@flow
def wait(seconds: float):
    import time
    time.sleep(seconds)

if __name__ == "__main__":
    import sys
    wait.serve(name=sys.argv[1], tags=["invae"], pause_on_shutdown=False)
"""


def zombies():
    return next(a for a in apply.automations() if a.name == "invae-zombies")


def test_two_heartbeats_may_be_lost_before_a_run_is_called_dead():
    values = yaml.safe_load(apply.DEPLOYMENTS.read_text())
    seconds = {
        int(d["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        for d in values["deployments"]
    }
    assert seconds == {SIGN_OF_LIFE}
    trigger = zombies().trigger
    assert isinstance(trigger, EventTrigger)
    assert trigger.within.total_seconds() >= max(75, 3 * SIGN_OF_LIFE)


def test_names_of_automations_are_unique():
    names = [automation.name for automation in apply.automations()]
    assert len(set(names)) == len(names)


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(apply.ConfigError, match="INVAE_RECORDINGS is not set: folder"):
        apply.apply({"PREFECT_API_URL": "http://127.0.0.1:9/api"})


@pytest.mark.slow
def test_a_run_killed_with_its_runner_is_crashed_and_a_healthy_one_is_not(
    serve, start, environment, kill_all, until, tmp_path
):
    from prefect import get_client
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = serve()
    program = tmp_path / "wait.py"
    program.write_text(textwrap.dedent(FLOW))
    settings = {
        "PREFECT_API_URL": address,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(SIGN_OF_LIFE),
    }
    runners = {
        name: start([sys.executable, str(program), name], {**environment, **settings})
        for name in ("killed", "healthy")
    }
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        assert apply.make_automation(client, zombies()) == "created"
        assert apply.make_automation(client, zombies()) == "updated"
        until(lambda: len(client.read_deployments()) == 2, "both deployments")
        runs = {
            name: run_deployment(f"wait/{name}", parameters={"seconds": 900}, timeout=0).id  # pyright: ignore[reportAttributeAccessIssue]
            for name in runners
        }

        def state(name: str) -> str:
            found = client.read_flow_run(runs[name]).state
            return (found.name or "") if found else ""

        until(lambda: {state(name) for name in runs} == {"Running"}, "both running")
        time.sleep(SIGN_OF_LIFE / 2)  # the first heartbeats have arrived
        kill_all(runners["killed"])
        began = time.monotonic()
        until(lambda: state("killed") != "Running", "the dead run to be found")
        print(f"found after {time.monotonic() - began:.0f} s")
        assert (state("killed"), state("healthy")) == ("Crashed", "Running")
