"""`invae serve` as a process of its own: started, killed, started again, and measured while it works."""

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
"""The smallest science there is."""
WARM = "warm process"
PARTS = {
    "invae serve": "flows.cli.main",
    "server": "flows.service.server",
    "runner": "flows.service.runner",
    WARM: "flows.service.warm",
}
"""Parts of what serves, and their modules; the runs are copies of the last one."""
SERVES = "watch it at"
"""What it says when it has started."""
SAMPLE_SECONDS = 2.0
PATIENCE = 300.0


@dataclass(frozen=True)
class Sample:
    """Memory and open files of one part at one moment."""

    life: int
    """How often it had been started before."""
    instant: float
    part: str
    megabytes: float
    handles: int
    busy: float = 0.0
    """Time on a processor so far, with that of all that it has started and that has ended [s]."""


@dataclass
class Machine:
    """What serves one watched folder; its server's record outlives it."""

    folder: Path
    at_once: int
    settings: Sequence[str] = ("settle=2",)
    """How it is watched."""
    database: Mapping[str, str] = field(default_factory=dict)
    """What the server is told of its database; SQLite if nothing."""
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
        """Where recordings arrive."""
        return self.folder / "box"

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.folder / "out"

    @property
    def api(self) -> str:
        """Address of the server's interface."""
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        """Start it, and return when it carries out runs."""
        places = ["--watch", str(self.box), "--out", str(self.out), "--port", str(self.port)]
        words = ["serve", *places, "--config", str(self.folder / "soak.yaml")]
        words += ["--at-once", str(self.at_once)]
        words += [word for setting in self.settings for word in ("--set", setting)]
        own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
        own |= {**self.database, "PREFECT_HOME": str(self.folder / "prefect")}
        log = (self.folder / f"serve-{self.lives}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", *words],
            env=own,
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + PATIENCE
        while SERVES not in (said := Path(log.name).read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"invae serve did not start: {said.strip()[-1000:]}")
            time.sleep(0.2)

    @property
    def answers(self) -> bool:
        """Whether its server does."""
        try:
            return httpx.get(f"{self.api}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals) -> None:
        """End it by a signal, and wait until nothing of it is left."""
        assert self._process is not None
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(number)
        self._process.wait()
        _, alive = psutil.wait_procs(started, timeout=PATIENCE)
        if alive:
            raise RuntimeError(f"still there after {number.name}: {alive}")
        self.lives += 1

    def close(self) -> None:
        """End it for good, however it stands."""
        self._over.set()
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGTERM)  # ctrl-C is ignored by what was started in the background

    def runs(self) -> list[dict[str, Any]]:
        """All runs of recordings that the server knows, each with the moment at which it had a place."""
        found: list[dict[str, Any]] = []
        while True:
            wanted = {"flows": {"name": {"any_": ["process"]}}, "limit": 200, "offset": len(found)}
            wanted["sort"] = "ID_DESC"
            answer = httpx.post(f"{self.api}/flow_runs/filter", json=wanted, timeout=60)
            answer.raise_for_status()
            found += [{**run, "pending": self._pending(run)} for run in answer.json()]
            if len(answer.json()) < 200:
                return found

    def _pending(self, run: Mapping[str, Any]) -> str:
        """When a run had a place the last time, and its process was started."""
        wanted = {"flow_run_id": run["id"]}
        answer = httpx.get(f"{self.api}/flow_run_states/", params=wanted, timeout=60)
        answer.raise_for_status()
        times = [state["timestamp"] for state in answer.json() if state["type"] == "PENDING"]
        return max(times, default=run["created"])

    def _measure(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            if self._process is not None and self._process.poll() is None:
                self.samples += self._sampled(self._process.pid)

    def _sampled(self, pid: int) -> list[Sample]:
        found = []
        with suppress(psutil.Error):  # it ends just now
            whole = psutil.Process(pid)
            for one in (whole, *whole.children(recursive=True)):
                with suppress(psutil.Error):
                    found += self._sample(one)
        return found

    def _sample(self, one: psutil.Process) -> list[Sample]:
        words = one.cmdline()
        part = next((name for name, module in PARTS.items() if module in words), None)
        if part is None or one.name() == RUN_NAME:
            return []
        size, busy = one.memory_info().rss / 1e6, one.cpu_times()[: 4 if part == WARM else 2]
        return [Sample(self.lives, time.monotonic(), part, size, one.num_fds(), sum(busy))]
