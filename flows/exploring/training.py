"""The training on labels as a process beside the server, and its progress."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flows.exploring.train_labels import CLASSES, LABELLED
from invae.errors import InputError
from invae.report.explorer import packing

MODULE = "flows.exploring.train_labels"


@dataclass
class Training:
    """At most one training at a time."""

    folder: Path
    state: dict[str, Any] = field(default_factory=dict)
    """`running`, `done`, `total`, `error` or `finished`."""
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start the training.

        Raises:
            InputError: one is running.
        """
        if self.state.get("running"):
            raise InputError("a training is running; wait until it has finished")
        words = [sys.executable, "-m", MODULE, str(self.folder)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.state = {"running": True, "done": 0, "total": 0}
        self.process = subprocess.Popen(words, **pipes)
        threading.Thread(target=self._follow, args=(self.process,), daemon=True).start()

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                self.state = {**self.state, **json.loads(line)}
        code = process.wait()
        if code and "error" not in self.state:
            self.state["error"] = f"the training ended with exit code {code}"
        self.state = {**self.state, "running": False}

    def stop(self) -> None:
        """End a running training."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def classes(self, shown: np.ndarray) -> dict[str, Any]:
        """Predicted class of every shown site, as a quantity of the view.

        Raises:
            InputError: no training has finished.
        """
        path = self.folder / LABELLED / CLASSES
        if not path.is_file():
            raise InputError("no training has finished; label two groups and train first")
        content = json.loads(path.read_text(encoding="utf-8"))
        values = np.asarray(content["classes"], dtype=float)[shown]
        named = {"name": "labelled", "title": "class from labels", "unit": "", "kind": "class"}
        return {**named, "classes": content["names"], **packing.column(values)}
