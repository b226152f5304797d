"""`invae serve` as a separate process: started, killed, restarted, and measured while it works."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from flows.service.login import FILE
from flows.service.warm import RUN_NAME

TINY = {
    "name": "soak",
    "describe": {"kind": "images"},
    "model": {"family": "VAE", "latent_dim": 2},
    "training": {"epochs": 1, "batch_size": 50},
    "analyse": {"traversal_steps": 2, "max_clusters": 2, "pca_components": 2},
    "report": {"dpi": 50},
    "compute": {"device": "cpu", "workers": 1},
}
"""The smallest configuration."""
WARM = "warm process"
PARTS = {
    "invae serve": "flows.cli.main",
    "server": "flows.service.server",
    "runner": "flows.service.runner",
    WARM: "flows.service.warm",
}
"""Parts of the service and their modules; runs are copies of the last part."""
SERVES = "Prefect UI at"
"""Output that shows that the service has started."""
SAMPLE_SECONDS = 2.0
PATIENCE = 300.0


@dataclass(frozen=True)
class Sample:
    """Memory and open files of one part at one moment."""

    life: int
    """Number of earlier starts."""
    instant: float
    part: str
    megabytes: float
    handles: int
    busy: float = 0.0
    """Processor time so far, including that of all processes that it started and that have ended [s]."""


@dataclass
class Machine:
    """A service for one watched folder; the database of its server outlives it."""

    folder: Path
    at_once: int
    settings: Sequence[str] = ("settle=2",)
    """Settings of the watcher."""
    database: Mapping[str, str] = field(default_factory=dict)
    """Settings of the server's database; SQLite if empty."""
    port: int = 0
    lives: int = 0
    samples: list[Sample] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.box.mkdir()
        (self.folder / "soak.yaml").write_text(yaml.safe_dump(TINY))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        threading.Thread(target=self._measure, daemon=True).start()

    @property
    def box(self) -> Path:
        """Folder in which recordings arrive."""
        return self.folder / "box"

    @property
    def out(self) -> Path:
        """Folder of the results."""
        return self.folder / "out"

    @property
    def api(self) -> str:
        """Address of the server's interface."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def login(self) -> tuple[str, str]:
        """User and password of the server."""
        user, _, password = (self.folder / "prefect" / FILE).read_text().strip().partition(":")
        return user, password

    def start(self) -> None:
        """Start the service, and return when it executes runs."""
        paths = ["--watch", str(self.box), "--out", str(self.out), "--port", str(self.port)]
        arguments = ["serve", *paths, "--config", str(self.folder / "soak.yaml")]
        arguments += ["--at-once", str(self.at_once)]
        arguments += [word for setting in self.settings for word in ("--set", setting)]
        own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
        own |= {**self.database, "PREFECT_HOME": str(self.folder / "prefect")}
        log = (self.folder / f"serve-{self.lives}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", *arguments],
            env=own,
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + PATIENCE
        while SERVES not in (output := Path(log.name).read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"invae serve did not start: {output.strip()[-1000:]}")
            time.sleep(0.2)

    @property
    def answers(self) -> bool:
        """Whether its server answers."""
        try:
            return httpx.get(f"{self.api}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals) -> None:
        """End the service by a signal, and wait until all of its processes have ended."""
        assert self._process is not None
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(number)
        self._process.wait()
        _, alive = psutil.wait_procs(started, timeout=PATIENCE)
        if alive:
            raise RuntimeError(f"still running after {number.name}: {alive}")
        self.lives += 1

    def close(self) -> None:
        """End the service for good, whatever its state."""
        self._over.set()
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGTERM)  # processes started in the background ignore ctrl-C

    def runs(self) -> list[dict[str, Any]]:
        """All runs of recordings on the server, each with the time at which its process was started."""
        runs: list[dict[str, Any]] = []
        while True:
            query = {"flows": {"name": {"any_": ["process"]}}, "limit": 200, "offset": len(runs)}
            query["sort"] = "ID_DESC"
            answer = httpx.post(
                f"{self.api}/flow_runs/filter", json=query, timeout=60, auth=self.login
            )
            answer.raise_for_status()
            runs += [{**run, "pending": self._pending(run)} for run in answer.json()]
            if len(answer.json()) < 200:
                return runs

    def _pending(self, run: Mapping[str, Any]) -> str:
        """The last time at which a process was started for a run."""
        query = {"flow_run_id": run["id"]}
        answer = httpx.get(
            f"{self.api}/flow_run_states/", params=query, timeout=60, auth=self.login
        )
        answer.raise_for_status()
        times = [state["timestamp"] for state in answer.json() if state["type"] == "PENDING"]
        return max(times, default=run["created"])

    def _measure(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            if self._process is not None and self._process.poll() is None:
                self.samples += self._sampled(self._process.pid)

    def _sampled(self, pid: int) -> list[Sample]:
        samples = []
        with suppress(psutil.Error):  # the process may end at this moment
            service = psutil.Process(pid)
            for process in (service, *service.children(recursive=True)):
                with suppress(psutil.Error):
                    samples += self._sample(process)
        return samples

    def _sample(self, process: psutil.Process) -> list[Sample]:
        words = process.cmdline()
        part = next((name for name, module in PARTS.items() if module in words), None)
        if part is None or process.name() == RUN_NAME:
            return []
        size, times = process.memory_info().rss / 1e6, process.cpu_times()
        busy = sum(times[: 4 if part == WARM else 2])
        return [Sample(self.lives, time.monotonic(), part, size, process.num_fds(), busy)]
