"""Peak memory is that of the program, not of who started it."""

import subprocess
import sys

import numpy as np

from benchmarks.peak_memory import peak_mb

PROGRAM = """
from benchmarks.peak_memory import peak_mb

before = peak_mb()
held = bytearray(b"1") * 100_000_000
print(before, peak_mb())
"""


def test_a_program_does_not_begin_with_the_peak_of_whoever_started_it():
    big = np.ones(60_000_000)
    assert peak_mb() > 480
    del big
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    before, after = map(float, answer.stdout.split())
    assert before < 100
    assert 95 < after - before < 110
