"""`invae serve --watch` as a separate process, with access to its server and its ledger."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from flows.service.login import FILE
from flows.watching import ledger
from flows.watching.ledger import Entry
from tests.flows.as_undisturbed import PATIENCE

RUN = "the run"
Serve = Callable[..., "Station"]


@dataclass
class Station:
    """A command that stays, and what it watches."""

    process: subprocess.Popen[str]
    box: Path
    out: Path
    api: str
    login: tuple[str, str]

    def known(self) -> dict[str, Entry]:
        """The ledger, by the name of the first file."""
        return {Path(entry.key).name: entry for entry in ledger.read(self.out)}

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Return when it has; the command must not end meanwhile."""
        end = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < end, self.known()
            time.sleep(0.1)

    def wait_until(self, name: str, *states: str) -> Entry:
        """What the ledger says when a recording is in one of the states."""

        def reached() -> bool:
            entry = self.known().get(name)
            return entry is not None and entry.state in states

        self.wait_for(reached)
        return self.known()[name]

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """All runs of a flow on the server."""
        wanted = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        answer = httpx.post(
            f"{self.api}/flow_runs/filter", json=wanted, timeout=60, auth=self.login
        )
        answer.raise_for_status()
        return answer.json()

    def failure_of(self, entry: Entry) -> str:
        """The table with the reason and traceback of a recording's run, as the server stores it."""
        wanted = {"flow_runs": {"id": {"any_": [entry.flow_run]}}}
        answer = httpx.post(
            f"{self.api}/artifacts/filter", json=wanted, timeout=60, auth=self.login
        )
        answer.raise_for_status()
        (table,) = [one["data"] for one in answer.json() if str(one["key"]).endswith("-failure")]
        return str(table)

    @property
    def started(self) -> list[psutil.Process]:
        """Everything that the command has started and that lives."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, module: str) -> psutil.Process:
        """The process of a module, or the active run, which is a child of the warm process."""
        if module == RUN:
            (run,) = self.child("flows.service.warm").children()
            return run
        return next(one for one in self.started if module in one.cmdline())

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Its exit code and what it said, after a signal; nothing that it has started is left."""
        started = self.started
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=PATIENCE)
        _, alive = psutil.wait_procs(started, timeout=30)
        assert alive == []
        return self.process.returncode, told


@contextmanager
def stations(folder: Path, config: Mapping[str, Any]) -> Iterator[Serve]:
    """Starts `invae serve --watch`; the same folders and the same server's record every time."""
    # a test in the background has it ignored, and would hand that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    box, out, settings = folder / "box", folder / "out", folder / "tiny.yaml"
    box.mkdir()
    settings.write_text(yaml.safe_dump(dict(config)))
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> Station:
        places = ["--watch", str(box), "--out", str(out), "--config", str(settings)]
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", "serve", *places, "--port", "0", *words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        api = f"{_address(process)}/api"
        user, _, password = (folder / "prefect" / FILE).read_text().strip().partition(":")
        return Station(process, box, out, api, (user, password))

    try:
        yield start
    finally:
        for process in started:
            process.kill()  # server, runner and runs go with it
            process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    """The address of the UI that it prints."""
    assert process.stderr is not None
    line = process.stderr.readline()
    while "Prefect UI at" not in line:
        assert line, "it has ended"
        line = process.stderr.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert address is not None
    return address.group()
