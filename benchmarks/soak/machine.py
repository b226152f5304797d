"""`invae serve` as a process of its own: started, killed, started again, and measured while it works."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

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
PARTS = {"invae serve": "flows.cli", "server": "flows.server", "runner": "flows.runner"}
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


@dataclass
class Machine:
    """What serves one watched folder; its server's record outlives it."""

    folder: Path
    at_once: int
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
        """Start it, and return when its server answers."""
        words = [
            "serve",
            "--watch",
            str(self.box),
            "--out",
            str(self.out),
            "--port",
            str(self.port),
        ]
        words += ["--config", str(self.folder / "soak.yaml"), "--at-once", str(self.at_once)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
        log = (self.folder / f"serve-{self.lives}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words, "--set", "settle=2"],
            env={**environment, "PREFECT_HOME": str(self.folder / "prefect")},
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                said = Path(log.name).read_text().strip()
                raise RuntimeError(f"invae serve did not start: {said[-1000:]}")
            time.sleep(0.2)

    def _answers(self) -> bool:
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
            self.end(signal.SIGINT)

    def runs(self) -> list[dict[str, Any]]:
        """All runs of recordings that the server knows."""
        found: list[dict[str, Any]] = []
        while True:
            wanted = {"flows": {"name": {"any_": ["process"]}}, "limit": 200, "offset": len(found)}
            wanted["sort"] = "ID_DESC"
            answer = httpx.post(f"{self.api}/flow_runs/filter", json=wanted, timeout=60)
            answer.raise_for_status()
            found += answer.json()
            if len(answer.json()) < 200:
                return found

    def _measure(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            if self._process is not None and self._process.poll() is None:
                self.samples += self._sampled(self._process.pid)

    def _sampled(self, pid: int) -> list[Sample]:
        found = []
        try:
            whole = psutil.Process(pid)
            for one in (whole, *whole.children()):
                words = one.cmdline()
                part = next((name for name, module in PARTS.items() if module in words), None)
                if part is not None:
                    size = one.memory_info().rss / 1e6
                    instant = time.monotonic()
                    found.append(Sample(self.lives, instant, part, size, one.num_fds()))
        except psutil.Error:
            return []  # it ends just now
        return found
