"""`invae train` under torchrun: one model from two processes, written by the first, resumed after a death."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from flows.cli.commands.execute import config_of
from invae.config import named
from invae.stages import stages
from invae.storage import store
from tasks.recording_folder import read_record
from tasks.train import train
from tests.flows.train_with_little_memory import LIMIT
from tests.invae.training.little_memory import Memory

ROOT = Path(__file__).parents[2]
TIMEOUT = 400
SHORT = ("training.epochs=1", "training.max_patches=200")
pytestmark = pytest.mark.slow


@pytest.fixture
def described(undisturbed, tmp_path) -> Path:
    """A recording whose patches are there and whose model is not."""
    from flows.cli.main import execute

    out = tmp_path / "out"
    changes = ["training.epochs=12", "training.checkpoint_seconds=0", "compute.device=cpu"]
    settings = undisturbed.config.model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    words = ["--config", str(tmp_path / "config.yaml"), "--out", str(out)]
    assert execute(["ingest", str(undisturbed.source), *words]) == 0
    for change in changes:
        words += ["--set", change]
    assert execute(["describe", *words]) == 0
    return out / undisturbed.source.stem


def torchrun(
    folder: Path,
    n_processes: int,
    *options: str,
    module: str = "flows.cli.main",
    changes: Sequence[str] = (),
    **environment: str,
) -> subprocess.Popen[str]:
    """A training by so many processes, on a free port of the loopback.

    Args:
        folder: of the recording.
        n_processes: how many.
        options: of torchrun.
        module: what runs in place of `invae`.
        changes: settings, as after --set.
        environment: variables.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = [
        "--nproc-per-node",
        str(n_processes),
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(port),
        *options,
    ]
    command = ["-m", module, "train", "--out", str(folder.parent)]
    for change in changes:
        command += ["--set", change]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *given, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def history(folder: Path) -> list[dict]:
    return json.loads((folder / "model" / "history.json").read_text())


def elbos(folder: Path) -> list[float]:
    return [epoch["held_out"]["elbo"] for epoch in history(folder)]


def finish(folder: Path, n_processes: int) -> list[float]:
    with torchrun(folder, n_processes) as process:
        answer, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors
    assert answer.strip() == str(folder / "model")  # once, by the first process
    assert list(folder.glob(".*.partial")) == []
    assert set(json.loads((folder / "run.json").read_text())["stages"]) >= {"train"}
    return elbos(folder)


def test_a_killed_process_ends_the_other_and_a_rerun_goes_on_to_the_same_elbo(described):
    undisturbed = finish(described, 2)
    (described / "model").rename(described.parent.parent / "model-of-two")
    end = time.monotonic() + TIMEOUT
    with torchrun(described, 2) as process:
        name = f".{stages.STAGES['train'].output}.*.partial/checkpoint.safetensors"
        while not list(described.glob(name)):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.02)
        ranks = psutil.Process(process.pid).children()
        assert len(ranks) == 2
        os.kill(ranks[1].pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT)
        assert process.returncode != 0
        assert not any(rank.is_running() for rank in ranks)
    assert not (described / "model").exists()
    assert finish(described, 2) == undisturbed
    (described / "model").rename(described.parent.parent / "model-again")
    assert finish(described, 1) == pytest.approx(undisturbed, rel=2e-2)


def memory_for(n_patches: int, described: Path, folder: Path) -> int:
    """How many of a layer's inputs a process holds that trains with so many patches at once."""
    folder.mkdir(parents=True)
    shutil.copytree(described / "descriptors.zarr", folder / "descriptors.zarr")
    changes = [*SHORT, f"training.batch_size={n_patches}"]
    with Memory() as memory:
        train.fn(
            str(folder / "descriptors.zarr"),
            named.amended(config_of(described), changes),
        )
    return memory.most


def test_what_one_process_has_no_memory_for_is_halved_for_all(described, tmp_path):
    limit = memory_for(4, described, tmp_path / "alone" / described.name)
    changes = [*SHORT, "training.batch_size=16"]
    given = {"module": "tests.flows.train_with_little_memory", "changes": changes}
    options = ("--max-restarts", "1")
    with torchrun(described, 2, *options, **given, **{LIMIT: str(limit)}) as process:
        answer, told = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, told
    assert answer.strip() == str(described / "model")
    refused = "a batch of 16 does not fit into the memory of one of 2 processes; "
    refused += "the next attempt takes training.batch_size=8"
    assert any(refused in line for line in told.splitlines())
    assert "unexpected" not in told
    receipt = store.read_receipt(described / "model")
    assert receipt is not None
    asked = named.amended(config_of(described), changes)
    half = named.amended(asked, ["training.batch_size=8"])
    keys = [stages.receipt_of(stages.STAGES["train"], described, c).key for c in (asked, half)]
    assert [receipt.asked, receipt.key] == keys
    said = read_record(described)["stages"]["train"]
    assert (said["batch_size"], said["batch_size_asked"]) == (8, 16)
    assert list(described.glob(".*.json")) == []
