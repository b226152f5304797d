"""A recording of 10 GB is taken in and described in bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest

N_FRAMES = 10_000
"""Frames of 256 x 256 pixels and four channels: 10.5 GB."""
MOST_GB = 1.5

PROGRAM = """
import resource, sys
from pathlib import Path
from invae.config import ComputeConfig, DescribeConfig, IngestConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.describe import describe
from invae.provenance import Receipt
from invae.readers.ingest import ingest_dataset
from invae.synthetic.endless import endless

folder, n_frames = Path(sys.argv[1]), int(sys.argv[2])
two = ComputeConfig(workers=2)
recording, _ = endless(DomainsConfig(rows=256, columns=256), seed=1, n_frames=n_frames)
for stage, target in (("ingest", "recording.zarr"), ("describe", "descriptors.zarr")):
    receipt = Receipt(stage, stage[0] * 32, "endless", (), {}, {}, "hash", 0, "code")
    if stage == "ingest":
        config = IngestConfig()
        ingest_dataset(recording, folder / target, config=config, receipt=receipt, compute=two)
    else:
        source = folder / "recording.zarr"
        describe(source, folder / target, config=DescribeConfig(), receipt=receipt, compute=two)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


@pytest.mark.slow
def test_ten_gigabytes_are_described_in_one_and_a_half(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(N_FRAMES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST_GB
