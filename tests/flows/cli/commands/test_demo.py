"""The demo: from nothing to a scored report, within three minutes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invae.analysis.domains.scores import scoreboard


@pytest.mark.slow
def test_the_demo_ends_with_a_report_whose_scores_are_good(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", "demo", "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        env={**environment, "PREFECT_HOME": str(tmp_path / "prefect")},
    )
    assert answer.returncode == 0, answer.stderr
    assert time.monotonic() - began < 180
    page = Path(answer.stdout.splitlines()[-1])
    assert page.is_file()
    scores = {
        s.name: s.value for s in scoreboard(page.parents[1], tmp_path / "demo" / "domains_0.zarr")
    }
    assert scores["walls, F1 at 2 px"] >= 0.95
    assert scores["drift error, worst [px]"] <= 0.3
    for stage in ("ingest", "describe", "train", "embed", "analyse", "report"):
        assert stage in answer.stderr
