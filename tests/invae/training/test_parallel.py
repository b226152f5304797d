"""Threads and processes: the order of the answers, errors, and nothing that remains when the parent ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invae.errors import InputError, WorkerLost
from invae.training.parallel import in_processes, mapped
from tests.invae.training import processes

ROOT = Path(__file__).parents[3]
PATIENCE = 60
"""Longest time that a test waits [s]."""


def run(function: Any, items: list[int], *, workers: int) -> tuple[list[Any], list[Any]]:
    """Answers, and reports with the numbers of their items."""
    reports: list[Any] = []
    answers = in_processes(
        function, items, workers=workers, listen=lambda *report: reports.append(report)
    )
    return answers, reports


def test_answers_come_in_the_order_of_the_items_from_processes_with_one_thread_and_one_core():
    values = np.arange(1e5)
    answers, reports = run(partial(processes.described, values), [3, 1, 2], workers=2)
    assert sorted(reports) == [(0, (3, "begun")), (1, (1, "begun")), (2, (2, "begun"))]
    assert len({pid for _, pid, _, _ in answers} - {os.getpid()}) == 2
    assert {(threads, cores) for _, _, threads, cores in answers} == {(1, 1)}
    # an array that an item changes is changed in its process only
    assert answers[0][0] == 3 * (values.sum() + 3)
    assert values[0] == 0


def test_one_worker_or_one_item_needs_no_process():
    assert run(processes.process_of, [0, 1], workers=1)[0] == [os.getpid()] * 2
    assert run(processes.process_of, [0], workers=4)[0] == [os.getpid()]


def test_a_process_that_is_one_of_several_starts_no_others():
    first, second = run(processes.nested, [0, 1], workers=2)[0]
    assert len(set(first)) == len(set(second)) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_the_same_line_with_any_number_of_workers(workers):
    with pytest.raises(InputError) as raised:
        run(processes.refused, [0, 1, 2, 3], workers=workers)
    assert str(raised.value) == "item 2 has no sites; leave it out"


def test_an_error_of_the_code_has_the_traceback_of_its_process():
    with pytest.raises(ZeroDivisionError) as raised:
        run(processes.mistaken, [0, 1, 2], workers=2)
    assert "in mistaken" in "".join(raised.value.__notes__)


def test_a_killed_process_is_named_with_its_exit_code():
    with pytest.raises(WorkerLost, match=r"exit code -9.*repeat the command"):
        run(processes.killed, [0, 1, 2], workers=2)


PARENT = """
import sys
from functools import partial
from pathlib import Path
from invae.training.parallel import in_processes
from tests.invae.training import processes

print("once", flush=True)
in_processes(partial(processes.slow, Path(sys.argv[1])), [0, 1], workers=2, listen=print)
"""
"""A script without `if __name__ == "__main__"`, as users write them."""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
    ids=["killed", "ctrl-c"],
)
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_processes_end_with_their_parent_and_leave_no_files(tmp_path, number):
    script, folder = tmp_path / "script.py", tmp_path / "begun"
    script.write_text(PARENT)
    folder.mkdir()
    (tmp_path / "temporary").mkdir()
    places = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
    parent = subprocess.Popen(
        [sys.executable, script, folder],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_until(lambda: len(list(folder.iterdir())) == 2)
    parent.send_signal(number)
    said, _ = parent.communicate(timeout=PATIENCE)
    assert said.split() == ["once"]
    pids = [int(file.read_text()) for file in folder.iterdir()]
    wait_until(lambda: not any(map(is_running, pids)))
    assert list((tmp_path / "temporary").iterdir()) == []


def wait_until(holds: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_mapped_keeps_the_order_and_few_items():
    made, waiting = 0, []

    def items():
        nonlocal made
        for number in range(40):
            made += 1
            yield number

    def slow_at_first(number: int) -> int:
        if number == 0:
            threading.Event().wait(0.2)
        return -number

    answers = []
    for done, answer in enumerate(mapped(slow_at_first, items(), workers=3), start=1):
        waiting.append(made - done)
        answers.append(answer)
    assert answers == [-number for number in range(40)]
    assert max(waiting) < 6


def test_mapped_raises_what_an_item_raises():
    def refuse(number: int) -> int:
        raise InputError(f"item {number}")

    with pytest.raises(InputError, match="item 0"):
        list(mapped(refuse, iter(range(9)), workers=2))
