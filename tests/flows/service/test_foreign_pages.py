"""What a web page, or a program without the login, can do to the server of this machine: nothing."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import websockets.exceptions
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.types.entrypoint import EntrypointType
from websockets.sync.client import connect

from docs import browser
from flows.day import day
from flows.service import runner
from flows.service.login import own_login
from flows.service.origin import OwnOrigin, own_origins
from flows.service.server import LocalServer
from tests.flows.station import stations
from tests.flows.watching.conftest import TINY

FOREIGN = "http://attacker.example"
SHELL = "prefect.deployments.steps.run_shell_script"


def asked(
    *, host: str | None, origin: str | None = None, listens: str = "127.0.0.1", kind: str = "http"
) -> object:
    """The answer to a request: 200 of the server, or that of the guard."""
    sent: list[dict[str, Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"status": 200})

    async def receive() -> Any: ...

    async def send(message: Any) -> None:
        sent.append(message)

    everywhere = listens == "0.0.0.0"
    guard = OwnOrigin(app, origins=own_origins(listens, 4200), by_number=everywhere)
    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    scope: dict[str, Any] = {"type": kind, "headers": headers, "method": "PATCH", "path": "/"}
    anyio.run(guard, scope, receive, send)
    return sent[0].get("status", sent[0].get("type"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST:4200", "[::1]:4200", "127.0.0.1:5000"]
)
def test_programs_and_own_pages_reach_the_server_also_through_a_tunnel(host):
    assert asked(host=host) == 200
    assert asked(host=host, origin=f"http://{host}") == 200
    assert asked(host="127.0.0.1:4200", origin="http://localhost:4200") == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "attacker.example",
        "attacker.example:4200",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example:4200",
        "10.0.0.5:4200",
        "[::1",
        "127.0.0.1@attacker.example",
    ],
)
def test_a_request_under_a_foreign_name_is_refused(host):
    assert asked(host=host) == 403
    assert asked(host=host, origin=f"http://{host}") == 403


@pytest.mark.parametrize(
    "origin",
    [
        FOREIGN,
        "null",
        "",
        "http://127.0.0.1:8888",
        "http://localhost",
        "http://127.0.0.1:42000",
        "file://",
    ],
)
def test_a_request_from_a_page_of_another_origin_is_refused(origin):
    assert asked(host="127.0.0.1:4200", origin=origin) == 403
    assert asked(host="127.0.0.1:4200", origin=origin, kind="websocket") == "websocket.close"


def test_a_server_for_the_network_is_reached_by_its_address_and_not_by_any_name():
    assert asked(host="10.0.0.5:4200", listens="0.0.0.0") == 200
    assert asked(host="10.0.0.5:4200", origin="http://10.0.0.5:4200", listens="0.0.0.0") == 200
    assert asked(host="lab.example:4200", listens="lab.example") == 200
    assert asked(host="attacker.example:4200", listens="0.0.0.0") == 403
    assert asked(host="10.0.0.5:4200", origin="http://10.0.0.6", listens="0.0.0.0") == 403


def test_a_request_without_its_own_origin_name_and_login_is_refused_by_the_server(tmp_path):
    with temporary_settings({PREFECT_HOME: tmp_path}):
        server, login = LocalServer(), own_login()
        user, _, password = login.partition(":")
        ask = partial(httpx.post, f"{server.address}/api/deployments/filter", json={})
        try:
            server.wait()
            assert ask(auth=(user, password)).status_code == 200
            own = {"Origin": server.address}
            assert ask(auth=(user, password), headers=own).status_code == 200
            assert ask().status_code == 401
            assert ask(auth=(user, "x")).status_code == 401
            for headers in ({"Origin": FOREIGN}, {"Host": "attacker.example"}, {"Origin": "null"}):
                assert ask(headers=headers).status_code == 403
                assert ask(headers=headers, auth=(user, password)).status_code == 403
            preflight = httpx.options(
                f"{server.address}/api/deployments/x",
                headers={"Origin": FOREIGN, "Access-Control-Request-Method": "PATCH"},
            )
            assert preflight.status_code == 403
            assert "access-control-allow-origin" not in preflight.headers
            events = server.address.replace("http", "ws") + "/api/events/in"
            with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                connect(events, additional_headers={"Origin": FOREIGN})
            settings = httpx.get(f"{server.address}/ui-settings").json()
            assert settings["auth"] == "BASIC", "the UI asks for the login"
        finally:
            server.stop()


async def patched_and_run(steps: list[dict[str, Any]], out: Path) -> str:
    """Name of the last state of a run whose deployment has new pull steps and another entry point."""
    deployment = await day.ato_deployment(
        "foreign", parameters={"out": str(out)}, entrypoint_type=EntrypointType.MODULE_PATH
    )
    await runner._runner("of-the-test", [deployment], limit=1)
    async with get_client() as client:
        known = await client.read_deployment_by_name("day/foreign")
        variables = {"command": steps[0][SHELL]["script"], "env": {"PYTHONPATH": "/nowhere"}}
        changes = {"pull_steps": steps, "entrypoint": "os.abort", "job_variables": variables}
        answer = await client._client.patch(f"/deployments/{known.id}", json=changes)
        assert answer.is_success
        run = await client.create_flow_run_from_deployment(known.id)
        assert (await client.read_deployment(known.id)).pull_steps == steps
        await runner._Starter().start(run)
        ended = await client.read_flow_run(run.id)
        hooked = await runner._deployed_flow(run)
    assert hooked.name == "day", "hooks of a dead run are taken from the same entry point"
    return ended.state_name or ""


def test_a_changed_deployment_runs_only_the_deployed_entry_point(prefect_server, tmp_path):
    marker = tmp_path / "marker"
    steps = [{SHELL: {"script": f"touch {marker}"}}]
    assert anyio.run(patched_and_run, steps, tmp_path / "out") == "Completed"
    assert not marker.exists()


def test_a_run_of_a_deployment_from_elsewhere_is_refused(prefect_server):
    async def foreign() -> None:
        async with get_client() as client:
            run = await client.create_flow_run(day, parameters={"out": "x"})
            with pytest.raises(runner.ServerError, match="its deployment is not from here"):
                await runner._Starter().start(run)

    anyio.run(foreign)


def test_prefect_still_takes_starter_and_loader_from_where_they_are_replaced(monkeypatch):
    from prefect.runner import runner as prefects

    names = "EngineCommandStarter", "load_flow_from_flow_run"
    for name in names:
        monkeypatch.setattr(prefects, name, getattr(prefects, name))
    runner.run_only_what_is_deployed()
    replaced = {name: getattr(prefects, name) for name in names}
    assert replaced == {names[0]: runner._Starter, names[1]: runner._deployed_flow}


ATTACK = """
<html><body><pre id=o>start</pre><script>
(async () => {
    const api = API, headers = {'Content-Type': 'application/json'};
    let log = '';
    const ask = async (method, path, body) =>
        fetch(api + path, {method, headers, body: JSON.stringify(body)});
    try {
        const found = await (await ask('POST', '/deployments/filter', {})).json();
        const day = found.filter(one => one.name == 'day')[0];
        const steps = [{'STEP': {script: 'touch MARKER'}}];
        const patch = await ask('PATCH', '/deployments/' + day.id, {pull_steps: steps});
        log += ' patch ' + patch.status;
        const run = await ask(
            'POST', '/deployments/' + day.id + '/create_flow_run', {state: {type: 'SCHEDULED'}});
        log += ' run ' + run.status;
    } catch (error) { log += ' refused ' + error; }
    document.getElementById('o').textContent = 'the attack has ended:' + log;
})();
</script></body></html>
"""
"""A page that changes the deployment of the daily page and starts it; it needs no help of its reader."""


@pytest.fixture
def page_server(tmp_path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is another web site."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    ) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield folder, f"http://localhost:{site.server_port}"
        site.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(browser.program() is None, reason="no Chromium here to open a page with")
def test_a_page_of_another_site_in_a_browser_runs_nothing(tmp_path, page_server):
    folder, site = page_server
    marker = tmp_path / "marker"
    with stations(tmp_path, TINY) as start, browser.page() as page:
        served = start()
        attack = ATTACK.replace("API", json.dumps(served.api)).replace("STEP", SHELL)
        (folder / "index.html").write_text(attack.replace("MARKER", str(marker)))
        page.open(f"{site}/index.html")
        page.wait_for("the attack has ended:")
        end = time.monotonic() + 30  # a started run would have executed its steps by then
        while not marker.exists() and time.monotonic() < end:
            time.sleep(0.5)
        assert not marker.exists(), page.text()
        assert "refused TypeError" in page.text()
        page.open(served.api.removesuffix("/api"))
        page.wait_for("Login")
        page.type(":".join(served.login))
        page.wait_for("Logout", "Deployments")
        assert served.stop()[0] == 0
