"""Several processes train what one trains: the same batches in the same order, gradients added up, sums of all."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from invae.training.distributed import ALONE, Part, Team
from tests.invae.training.one_of_several import told, trained

ROOT = Path(__file__).parents[3]
TIMEOUT = 300


def together(family: str, *fault: str, size: int, codes: Sequence[int] = ()) -> list[dict]:
    """What every process of a training ended with, and that it ended with its exit code; those that were killed say nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    words = [sys.executable, "-m", "tests.invae.training.one_of_several", family, *fault]
    started = [
        subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, **given, "RANK": str(rank), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(size)
    ]
    answers = [process.communicate(timeout=TIMEOUT) for process in started]
    assert [process.returncode for process in started] == list(codes or [0] * size), answers
    return [json.loads(answer.splitlines()[-1]) for answer, _ in answers if answer]


def check(family: str, size: int) -> None:
    alone = told(trained(family).history)
    answers = together(family, size=size)
    assert all(answer == answers[0] for answer in answers[1:])
    for one, many in zip(alone, answers[0]["history"], strict=True):
        assert many["epoch"] == one["epoch"]
        assert sum(many["angles"]) == sum(one["angles"])
        for side in ("training", "held_out"):
            # only the order of adding differs, and four epochs let that grow
            assert many[side] == pytest.approx(one[side], rel=1e-3)


def test_two_processes_come_to_the_elbo_of_one():
    check("rVAE", 2)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "size"), [("jVAE", 2), ("rVAE", 3)])
def test_other_families_and_numbers_of_processes_do_so_too(family, size):
    check(family, size)


def test_where_one_has_no_memory_left_all_stop_at_the_same_step():
    others, own = together("jVAE", "out_of_memory", size=2)
    assert own == {"error": "OutOfMemoryError", "said": "out of memory"}
    assert others["error"] == "OutOfMemoryElsewhere"


@pytest.mark.slow
def test_where_one_fails_otherwise_or_is_killed_the_others_say_so_and_do_not_wait():
    first, second, own = together("jVAE", "out_of_order", size=3)
    assert own["error"] == "ValueError"
    assert first == second
    assert first["said"] == "another process of this training failed, for its own reason"
    (left,) = together("jVAE", "killed", size=2, codes=[0, -signal.SIGKILL])
    assert left["error"] == "StoppedElsewhere"
    assert "is gone; the same command goes on from the last checkpoint" in left["said"]


@pytest.mark.parametrize(("n_patches", "size"), [(16, 2), (7, 3), (3, 3), (1, 1)])
def test_the_parts_of_a_batch_cover_it_once(n_patches: int, size: int):
    parts = [Team(rank, size).part(n_patches) for rank in range(size)]
    places = [i for part in parts for i in range(n_patches)[part.place]]
    assert places == list(range(n_patches))
    assert sum(part.share for part in parts) == pytest.approx(1)


def test_a_process_too_many_looks_in_vain():
    parts = [Team(rank, 3).part(2) for rank in range(3)]
    assert [part.share for part in parts] == [0, 0.5, 0.5]
    assert parts[0] == Part(slice(0, 1), 0.0)


def test_one_process_exchanges_nothing():
    value = torch.ones(2)
    assert ALONE.sum(value) is value
    assert ALONE.sum_by_name({"elbo": value.sum()}) == {"elbo": 2.0}
    assert ALONE.leads
