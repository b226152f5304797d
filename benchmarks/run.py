"""Print the throughput of each stage, with the machine's own limits for comparison.

Run by `make benchmarks`; `--quick` uses a tenth of the data. Times are medians of repeated runs; ratios compare values of the same run.
"""

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import median_seconds
from invae.config import ComputeConfig, EmbedConfig, IngestConfig, ModelConfig, TrainingConfig
from invae.config.describe import WallsConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.describe import describe
from invae.embedding.embed import embed
from invae.readers.ingest import ingest
from invae.storage import store
from invae.storage.provenance import Receipt, Source, now, versions
from invae.synthetic.domains import simulate
from invae.training.history import Epoch
from invae.training.train import train

COMPUTE = ComputeConfig()


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    unit: str
    comparison: str = ""


def receipt(stage: str) -> Receipt:
    """A receipt that is never current, so that every repetition computes."""
    return Receipt(
        stage, f"{time.monotonic_ns():064d}", "benchmark", (Source("none", "", 0),), {}, {}, "", 0,
        "", versions(), now(),
    )  # fmt: skip


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="invae-benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def machine() -> list[Row]:
    """Speed of copying memory on this machine, the reference for all other values."""
    source = np.ones(1 << 28, np.uint8)
    target = np.empty_like(source)
    seconds = median_seconds(lambda: np.copyto(target, source), repeats=5)
    rows = [
        Row("cores", os.cpu_count() or 0, "", platform.processor() or platform.machine()),
        Row("memory copy", source.nbytes / seconds / 1e9, "GB/s", "one thread"),
    ]
    if torch.cuda.is_available():
        rows.append(Row("GPU", 1, "", torch.cuda.get_device_name()))
    return rows


def ingesting(folder: Path, *, n_frames: int) -> list[Row]:
    """A series of float32 frames from a NumPy file, compared with a plain copy of the file."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(n_frames, 256, 256)).astype(np.float32)
    source = folder / "height.npy"
    np.save(source, frames)
    n_mb = frames.nbytes / 1e6

    def copy() -> None:
        shutil.copyfile(source, folder / "copy.npy")
        with (folder / "copy.npy").open("rb") as stream:
            os.fsync(stream.fileno())

    def ingest_once() -> None:
        ingest(
            [source],
            folder / "ingested.zarr",
            config=IngestConfig(),
            receipt=receipt("ingest"),
            compute=COMPUTE,
        )

    copying, ingested = median_seconds(copy), median_seconds(ingest_once)
    return [
        Row("plain copy, flushed to disk", n_mb / copying, "MB/s", f"{n_mb:.0f} MB"),
        Row("ingest", n_mb / ingested, "MB/s", f"{copying / ingested:.2f} of the plain copy"),
    ]


def describing(folder: Path, *, n_frames: int) -> list[Row]:
    """Throughput from frames to walls and patches."""
    recording, target = folder / "domains.zarr", folder / "descriptors.zarr"
    simulate(recording, config=DomainsConfig(n_frames=n_frames, rows=256, columns=256), seed=1)
    seconds = median_seconds(
        lambda: describe(
            recording, target, config=WallsConfig(), receipt=receipt("describe"), compute=COMPUTE
        ),
        repeats=1,
    )
    n_sites = store.open_store(target).sizes["site"]
    return [
        Row("describe", n_sites / seconds, "patches/s", f"{n_sites} patches of 32²"),
        Row("describe", n_frames / seconds, "frames/s", f"{n_frames} frames of 256²"),
    ]


def training(folder: Path, *, elbo: float, epochs: int) -> list[Row]:
    """Images per second of the default model, and the time until a held-out ELBO is reached."""
    reached: list[float] = []
    speeds: list[float] = []
    best: list[float] = []
    began = time.perf_counter()

    def watch(epoch: Epoch) -> None:
        if epoch.held_out["elbo"] >= elbo and not reached:
            reached.append(time.perf_counter() - began)
        speeds.append(epoch.patches_per_second)
        best.append(epoch.held_out["elbo"])

    train(
        folder / "descriptors.zarr",
        folder / "model",
        model=ModelConfig(),
        training=TrainingConfig(epochs=epochs, patience=epochs),
        seed=0,
        receipt=receipt("train"),
        compute=COMPUTE,
        on_epoch=watch,
    )
    n_sites = store.open_store(folder / "descriptors.zarr").sizes["site"]
    until = Row("held-out ELBO of " + f"{elbo:g} nats", reached[0] if reached else np.nan, "s", "")
    embedding = median_seconds(
        lambda: embed(
            folder / "descriptors.zarr",
            folder / "model",
            folder / "embedding.zarr",
            config=EmbedConfig(),
            receipt=receipt("embed"),
            compute=COMPUTE,
        ),
        repeats=1,
    )
    return [
        Row(
            "train, rtVAE exact",
            statistics.median(speeds),
            "patches/s",
            f"median of {epochs} epochs; held-out ELBO reached {max(best):.0f} nats",
        ),
        until,
        Row("embed", n_sites / embedding, "patches/s", ""),
    ]


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data")
    quick = parser.parse_args().quick
    scale = 10 if quick else 1
    torch.set_num_threads(1)  # as the train task does
    with scratch() as folder:
        rows = machine()
        rows += ingesting(folder, n_frames=2000 // scale)
        rows += describing(folder, n_frames=40 // scale)
        rows += training(folder, elbo=-1000, epochs=20 // scale or 1)
    print("| what | value | unit | comparison |\n| --- | ---: | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.value:,.3g} | {row.unit} | {row.comparison} |")


if __name__ == "__main__":
    main()
