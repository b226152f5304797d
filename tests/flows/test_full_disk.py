"""A disk that is full and a folder that may not be written: one line in every stage, nothing half made, afterwards as undisturbed."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from invae.stages import stages
from tests.flows import as_undisturbed
from tests.flows.as_undisturbed import PATIENCE

pytestmark = pytest.mark.slow

SMALLEST_FILE = 512
"""No file may grow larger where the disk is full [byte]; every stage writes larger ones."""
CAPBSET_DROP, DAC_OVERRIDE = 24, 1
"""Linux' prctl and the capability by which root writes where nobody may."""


def invae(*words: str, before: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    """A command line, with something done to its process before it begins."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def full_disk() -> None:
    """Refuse this process files that are worth the name."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALLEST_FILE, SMALLEST_FILE))


def obeys_rights() -> None:
    """Let root be refused like everybody else."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(CAPBSET_DROP, DAC_OVERRIDE, 0, 0, 0)


@pytest.fixture
def halfway(undisturbed, tmp_path) -> Callable[[str], Path]:
    """Makes the folder of a recording of which everything before a stage is done."""

    def make(stage: str) -> Path:
        folder = tmp_path / "out" / undisturbed.folder.name
        folder.mkdir(parents=True)
        shutil.copy(undisturbed.folder / "run.json", folder)
        for earlier in list(stages.STAGES)[: list(stages.STAGES).index(stage)]:
            name = stages.STAGES[earlier].output
            shutil.copytree(undisturbed.folder / name, folder / name)
        return folder

    return make


def command(stage: str, folder: Path, undisturbed) -> list[str]:
    if stage != "ingest":
        return [stage, "--out", str(folder.parent)]
    path = folder.parent.parent / "config.yaml"
    path.write_text(yaml.safe_dump(undisturbed.config.model_dump(mode="json")))
    given = ["--config", str(path), "--out", str(folder.parent)]
    return ["ingest", str(undisturbed.source), *given]


def refused_then_made(
    stage: str,
    folder: Path,
    undisturbed,
    *,
    before: Callable[[], object],
    message: str,
    afterwards: Callable[[], object],
) -> None:
    """One line while it cannot be written, nothing half made; as undisturbed when it can."""
    output, words = stages.STAGES[stage].output, command(stage, folder, undisturbed)
    with invae(*words, before=before) as process:
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, told
    assert message in told.strip().splitlines()[-1]
    assert "Traceback" not in told
    assert not (folder / output).exists()
    afterwards()
    with invae(*words) as process:
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    as_undisturbed.check(folder / output, undisturbed.folder / output)


@pytest.mark.parametrize("stage", list(stages.STAGES))
def test_a_full_disk_is_one_line_and_costs_no_value(stage, halfway, undisturbed):
    refused_then_made(
        stage,
        halfway(stage),
        undisturbed,
        before=full_disk,
        message="no room left to write it",
        afterwards=lambda: None,
    )


@pytest.mark.parametrize("stage", list(stages.STAGES))
def test_a_store_that_may_not_be_written_is_one_line_and_costs_no_value(
    stage, halfway, undisturbed
):
    folder = halfway(stage)
    folder.chmod(0o555)
    refused_then_made(
        stage,
        folder,
        undisturbed,
        before=obeys_rights,
        message="cannot be written",
        afterwards=partial(folder.chmod, 0o755),
    )
