"""Memory stays bounded however long the recording: a series of 10 GB that is generated while it is read, 4 GB exported."""

import subprocess
import sys
from pathlib import Path

import pytest

from invae.results.slabs import SLAB_BYTES

LIMIT_MB = 1500

PROGRAM = """
import sys
from pathlib import Path
from benchmarks.peak_memory import peak_mb
from invae.config import ComputeConfig, DomainsConfig, ProcessConfig
from invae.descriptors.describe import describe
from invae.readers.ingest import ingest_dataset
from invae.stages import stages
from invae.storage import provenance
from invae.synthetic.endless import endless

folder, n_frames = Path(sys.argv[1]), int(sys.argv[2])
domains = DomainsConfig(rows=512, columns=512)
recording, _ = endless(domains, 5, n_frames=n_frames)
config = ProcessConfig.model_validate({"describe": {"sites": {"max_per_frame": 20}}})
compute = ComputeConfig(workers=2)
source = provenance.Source("endless", "0" * 64, recording.nbytes)
receipt = stages.receipt_of_recording(folder, (source,), config)
ingest_dataset(recording, folder / "recording.zarr", config=config.ingest, receipt=receipt, compute=compute)
ingested = peak_mb()
receipt = stages.receipt_of(stages.STAGES["describe"], folder, config)
describe(folder / "recording.zarr", folder / "descriptors.zarr", config=config.describe, receipt=receipt, compute=compute)
described = peak_mb()
print(recording.nbytes / 1e9, ingested, described)
"""


def peak(folder: Path, *, n_frames: int) -> tuple[float, float, float]:
    """Size of the series [GB] and peak memory of its process after ingesting and after describing [MB]."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(n_frames)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    size, ingested, described = map(float, answer.stdout.split())
    return size, ingested, described


@pytest.mark.slow
def test_ten_gigabytes_pass_through_less_than_one_and_a_half(tmp_path):
    size, ingested, described = peak(tmp_path, n_frames=2400)
    print(f"{size:.1f} GB: peak {ingested:.0f} MB ingesting, {described:.0f} MB describing")
    assert size > 10
    assert ingested < LIMIT_MB
    assert described < LIMIT_MB


EXPORT = """
import sys
from pathlib import Path
import numpy as np
from benchmarks.peak_memory import peak_mb
from invae import results
from invae.storage import store

path, to = Path(sys.argv[1]), sys.argv[2]
shape, rows = (256, 128, 256, 256), 4
pattern = store.Variable(("scan_y", "scan_x", "k_y", "k_x"), shape, np.uint16, {"units": "count"})
store.lay_out(path, {"pattern": pattern}, shard=rows)
slab = np.random.default_rng(0).poisson(0.05, (rows, *shape[1:])).astype(np.uint16)
for start in range(0, shape[0], rows):
    store.write_block(path, {"pattern": slab}, start=start, shard=rows)
before = peak_mb()
results.export(path, to=to)
print(before, peak_mb())
"""


@pytest.mark.slow
@pytest.mark.parametrize("to", ["hyperspy", "netcdf"])
def test_four_gigabytes_of_patterns_are_exported_in_three_slabs(tmp_path, to):
    answer = subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path / "recording.zarr"), to],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    before, after = map(float, answer.stdout.split())
    print(f"{to}: peak {before:.0f} MB writing the store, {after:.0f} MB exporting it")
    assert after < before + 3 * SLAB_BYTES / 1e6
