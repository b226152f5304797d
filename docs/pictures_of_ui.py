"""Pictures of Prefect's pages for these docs: `python -m docs.pictures_of_ui [FOLDER]`; about two minutes on one core.

Starts a server, runs `invae run` on a small simulated series, writes the daily page, and takes pictures of the pages by a headless
Chromium, during training and afterwards.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from docs.browser import Page, page
from flows.service.login import logged_in, own_login
from flows.service.server import LocalServer, prepare_environment
from flows.watching import ledger
from invae.errors import InvaeError
from tasks.runs import RUN_NAMES

INVAE = (sys.executable, "-m", "flows.cli.main")
FOLDER = Path(__file__).parent / "images" / "ui"

SERIES = ("rows=96", "columns=96", "n_frames=12", "margin=16")
CHANGES = ("training.epochs=80", "describe.patches.window=16", "report.dpi=80")
"""Small, but with enough epochs to take a picture during training."""

RESULTS = "results"

PATIENCE = 900.0
"""Longest wait for a run [s]."""


def take_all(folder: Path = FOLDER) -> None:
    """Run the small series and take every picture.

    Raises:
        InvaeError: if the run fails, or a page does not show the expected text.
    """
    with tempfile.TemporaryDirectory() as place:
        os.environ["PREFECT_HOME"] = place
        prepare_environment(verbose=False)
        server = LocalServer()
        try:
            server.wait()
            api = f"{server.address}/api"
            with logged_in(api, own_login()), page() as browser:
                _log_in(browser, server.address)
                with _run(Path(place), server.address) as run:
                    _during_training(browser, server.address, folder)
                    if run.wait(PATIENCE):
                        raise InvaeError(f"the run ended with {run.returncode}; see above")
                    _after_the_run(browser, server.address, folder)
                    _daily_page(browser, server.address, folder, Path(place))
        finally:
            server.stop()


def _log_in(browser: Page, address: str) -> None:
    browser.open(address)
    browser.wait_for("Login")
    browser.type(own_login())
    browser.wait_for("Logout")


@contextmanager
def _run(place: Path, address: str) -> "Iterator[subprocess.Popen[bytes]]":
    """`invae run` on a simulated series, on this server."""
    series = str(place / "switching.zarr")
    simulate = ["simulate", "domains", "--out", series, "--seed", "3", *_sets(SERIES)]
    subprocess.run([*INVAE, *simulate], check=True)
    command = ["run", series, "--config", "demo", "--out", str(place / RESULTS), *_sets(CHANGES)]
    environment = {**os.environ, "PREFECT_API_URL": f"{address}/api"}
    with subprocess.Popen([*INVAE, *command], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _sets(changes: tuple[str, ...]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def _during_training(browser: Page, address: str, folder: Path) -> None:
    """The list of artifacts of the run with live progress, rate and remaining time."""
    end = time.monotonic() + PATIENCE
    while not any(_halfway(artifact) for artifact in _read(address, "artifacts")):
        if time.monotonic() > end:
            raise InvaeError("the training ended before a picture was taken; set more epochs")
        time.sleep(0.3)
    (run,) = _read(address, "flow_runs")
    browser.open(f"{address}/runs/flow-run/{run['id']}")
    browser.click("Artifacts", shows="switching-train")
    browser.wait_for("s left")
    browser.picture(folder / "progress.png", height=1210, settle=0.5)


def _halfway(artifact: dict[str, Any]) -> bool:
    return artifact["key"] == "switching-train" and 10 < float(artifact["data"]) < 80


def _after_the_run(browser: Page, address: str, folder: Path) -> None:
    """The run with its stages, the training curve, a map of the latents, the report and the summary."""
    (run,) = _read(address, "flow_runs")
    browser.open(f"{address}/runs/flow-run/{run['id']}")
    browser.wait_for("Completed")
    browser.click("Task Runs", shows=RUN_NAMES["ingest"].format(recording="switching"))
    browser.wait_for(RUN_NAMES["report"].format(recording="switching"))
    browser.picture(folder / "run.png", height=1150)
    artifacts = {
        artifact["key"]: artifact["id"]
        for artifact in _read(address, "artifacts")
        if artifact["type"] != "progress"
    }
    for key, words, height in (
        ("training", "Training on switching", 540),
        ("content", "switching-content", 750),
        ("page", "The whole report is at", 1100),
        ("summary", "largest drift relative to frame 0", 760),
    ):
        browser.open(f"{address}/artifacts/artifact/{artifacts[f'switching-{key}']}")
        browser.wait_for(words)
        browser.picture(folder / f"{key}.png", height=height)


def _daily_page(browser: Page, address: str, folder: Path, place: Path) -> None:
    """The daily page, with one recording done and one in quarantine."""
    reason = "broken.ibw: is empty (0 bytes); wait until it is written, or copy it again"
    entry = ledger.Entry(
        "broken", ("/outbox/broken.ibw",), "", "set aside", ledger.utc_now(), reason=reason
    )
    ledger.write(place / RESULTS, [entry])
    environment = {**os.environ, "PREFECT_API_URL": f"{address}/api"}
    write = f"from flows.day import day; day({str(place / RESULTS)!r})"
    subprocess.run([sys.executable, "-c", write], env=environment, check=True)
    artifacts = {one["key"]: one["id"] for one in _read(address, "artifacts")}
    (key,) = (key for key in artifacts if key.startswith("day-"))
    browser.open(f"{address}/artifacts/artifact/{artifacts[key]}")
    browser.wait_for("received", "broken")
    browser.picture(folder / "day.png", height=760)


def _read(address: str, kind: str) -> list[dict[str, Any]]:
    """All objects of a kind on the server."""
    user, _, password = own_login().partition(":")
    answer = httpx.post(
        f"{address}/api/{kind}/filter", json={"limit": 200}, timeout=60, auth=(user, password)
    )
    return answer.raise_for_status().json()


if __name__ == "__main__":
    take_all(*map(Path, sys.argv[1:2]))
