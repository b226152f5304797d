"""A rerun of a finished recording costs next to nothing: it is known from receipts that there is nothing to do."""

import os
import resource
import subprocess
import sys

import pytest
import yaml

from invae.stages import stages

SECONDS = 2.0
"""Of the processor, all imports included."""
HEAVY = {"dask", "distributed", "prefect", "torch", "matplotlib"}
RERUN = """
import sys
from flows.cli.main import execute
code = execute(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in sys.modules}), sep="\\n")
sys.exit(code)
"""


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_a_rerun_of_a_finished_recording_opens_no_cluster_and_no_server(undisturbed, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(undisturbed.config.model_dump(mode="json")))
    words = ["run", str(undisturbed.source), "--config", str(path), "--out", str(undisturbed.out)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    taken = []
    for _ in range(3):
        before = seconds_of_children()
        ended = subprocess.run(
            [sys.executable, "-c", RERUN, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        taken.append(seconds_of_children() - before)
        assert ended.stderr.count("unchanged") == len(stages.STAGES)
        assert not HEAVY & set(ended.stdout.splitlines())
    assert min(taken) < SECONDS, taken
