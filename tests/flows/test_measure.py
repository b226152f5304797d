"""The flow `measure`: killed anywhere it goes on with the same next site, and the instrument is asked once for every site."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flows.cli.commands import execute
from flows.measure import Operator, decide
from invae.config import ProcessConfig, named
from invae.config.plasmons import PlasmonsConfig
from invae.config.search import InstrumentConfig
from invae.storage import store
from invae.synthetic.plasmons import simulate
from tasks import measure as tasks
from tests.flows.as_undisturbed import PATIENCE

CHANGES = (
    "describe.window=16",
    "describe.image=null",
    "search.target=band",
    "search.scale=linear",
    "search.budget=14",
    "search.least_gain=0",
    "report.dpi=50",
    "compute.device=cpu",
)


@pytest.fixture(scope="module")
def config() -> ProcessConfig:
    return named.load("beps-search", changes=CHANGES)


@pytest.fixture(scope="module")
def patches(tmp_path_factory, config) -> Path:
    """Candidates with their spectra, of a simulated map."""
    folder = tmp_path_factory.mktemp("plasmons")
    sample = {"kind": "assembly", "n_assemblies": 1, "grid": 8, "n_energies": 8}
    settings = PlasmonsConfig.model_validate({"sample": sample})
    simulate(folder / "plasmons.zarr", config=settings, seed=1)
    quiet, out = Console(quiet=True), folder / "out" / "plasmons"
    execute.run_ingest([folder / "plasmons.zarr"], out, config, console=quiet)
    return execute.run_stage("describe", out, config, console=quiet)


def flow(patches: Path, folder: Path, config: ProcessConfig, **instrument) -> Path:
    from flows.measure import measure

    at = InstrumentConfig(**instrument)
    return Path(measure(str(patches), str(folder), config, at))


def events(folder: Path) -> list[dict]:
    path = folder / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def undisturbed(prefect_server, patches, config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "search"
    page = flow(patches, folder, config)
    assert page == folder / "report" / "index.html"
    return folder


def test_a_search_leaves_ledger_store_and_page(undisturbed):
    assert len([e for e in events(undisturbed) if e["event"] == "measured"]) == 14
    assert (
        store.open_store(undisturbed / "search.zarr", group="measured").sizes["observation"] == 14
    )
    page = (undisturbed / "report" / "index.html").read_text()
    assert "stopped by budget: 14 of 14 measurements are made" in page
    assert page.index("not known: 14 valid") < page.index("Best value so far")
    assert "beps-search version 1" in page, "where it came from"
    assert "plasmons.zarr" in page
    for name in ("path", "best", "map", "calibration"):
        assert (undisturbed / "report" / "figures" / f"{name}.png").exists()


def test_a_finished_search_measures_nothing_more(undisturbed, patches, config, prefect_server):
    before = (undisturbed / "ledger.jsonl").read_bytes()
    flow(patches, undisturbed, config)
    assert (undisturbed / "ledger.jsonl").read_bytes() == before


def test_slow_measurements_have_a_task_run_each(
    patches, config, prefect_server, tmp_path, monkeypatch
):
    after = []  # what every task run leaves
    monkeypatch.setattr(tasks, "show", lambda session, _: after.append(len(session.search.history)))
    flow(patches, tmp_path / "search", config, together=0.0)
    assert after == list(range(1, 15))


def test_the_instrument_is_held_once(prefect_server, patches, config, tmp_path):
    from prefect.client.orchestration import get_client

    flow(patches, tmp_path / "search", config, together=100.0)
    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name(tasks.limit_of("replay"))
    assert limit.limit == 1
    assert limit.active_slots == 0


def test_without_an_answer_of_a_person_the_search_ends(prefect_server, patches, config, tmp_path):
    flow(patches, tmp_path / "search", config, ask_every=5, ask_timeout=1.0, together=100.0)
    found = events(tmp_path / "search")
    assert len([e for e in found if e["event"] == "measured"]) == 5
    assert found[-1] == {"event": "stopped", "why": "no answer of a person within 1 s"}


@pytest.mark.parametrize(
    ("said", "event"),
    [
        ({"decision": "approve"}, "measured"),
        ({"decision": "exclude", "y": (0, 20), "x": (0, 20)}, "excluded"),
        ({"decision": "target", "target": "peak"}, "target"),
        ({"decision": "stop"}, "stopped"),
    ],
)
def test_a_decision_is_in_the_ledger(patches, config, tmp_path, said, event):
    folder = str(tmp_path / "search")
    session = tasks.session_of(str(patches), folder, config, InstrumentConfig())
    session.step()
    decide(session, Operator(**said))
    assert events(tmp_path / "search")[-1]["event"] == event
    tasks.forget(folder)


def command(patches: Path, config_file: Path, *words: str) -> list[str]:
    start = [sys.executable, "-m", "flows.cli.main", "measure", str(patches)]
    return [*start, "--config", str(config_file), *words]


class Microscope(threading.Thread):
    """A program that answers requests in a folder from stored spectra, slowly enough to be interrupted."""

    def __init__(self, folder: Path, patches: Path) -> None:
        super().__init__(daemon=True)
        stored = store.open_store(patches).load()
        self.axis, self.spectra = stored["energy"].to_numpy(), stored["spectrum"].to_numpy()
        self.folder, self.asked, self.ending = folder, [], threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.02):
            for request in sorted(self.folder.glob("request-*.json")):
                target = request.with_name(f"answer-{request.stem[-6:]}.csv")
                if not target.exists():
                    (site,) = json.loads(request.read_text())["sites"]
                    self.asked.append(site["candidate"])
                    rows = np.stack([self.axis, self.spectra[site["candidate"]]], 1)
                    lines = [",".join(map(repr, row)) for row in rows.tolist()]
                    hidden = target.with_name(f".{target.name}")
                    hidden.write_text("\n".join(["energy [eV],a [1/eV]", *lines]) + "\n")
                    hidden.replace(target)


@pytest.mark.slow
@pytest.mark.parametrize("n_measured", [0, 1, 6, 13])
def test_a_search_killed_after_any_measurement_goes_on_and_asks_for_no_site_twice(
    n_measured, prefect_server, patches, config, tmp_path
):
    import yaml

    box, place = tmp_path / "box", tmp_path / "run"
    box.mkdir()
    place.mkdir()
    (place / "descriptors.zarr").symlink_to(patches)
    settings = tmp_path / "config.yaml"
    settings.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    microscope = Microscope(box, patches)
    microscope.start()
    words = command(place, settings, "--instrument", f"folder:{box}", "--timeout", "60")
    known = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment = {**known, "PREFECT_HOME": str(tmp_path / "prefect")}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as run:
        end = time.monotonic() + PATIENCE
        while len(events(place / "search")) < 1 + n_measured:
            assert run.poll() is None, run.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    microscope.ending.set()
    assert done.returncode == 0, done.stderr
    measured = [e["candidate"] for e in events(place / "search") if e["event"] == "measured"]
    assert len(measured) == 14
    assert microscope.asked == measured
    assert len(set(measured)) == 14
    again = tmp_path / "undisturbed"
    flow(patches, again, config, name=f"folder:{box}")
    assert [e.get("candidate") for e in events(again)] == [None, *measured]
