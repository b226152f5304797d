"""One accelerator: training, encoding and ingest on a device, beside its peak, its memory, the processor and the peers.

`python -m benchmarks.gpu` takes less than eight minutes on a machine with CUDA, prints one line per measurement and writes the
table, with date and device, into `benchmarks/`. `--device cpu --quick` runs all of it on little data. It needs PyTorch, NumPy,
pydantic, jaxtyping, safetensors and threadpoolctl; measurements whose packages are not installed are named in the table.
"""

import argparse
import importlib
import importlib.util
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peak_memory import peak_mb
from invae.config import ModelConfig
from invae.models.build import build
from invae.models.encoding import encode_batch
from invae.models.objective import Objective
from invae.models.signals import IMAGE, Signals
from invae.training.batches import Batches
from invae.training.device import device_of, one_thread
from invae.training.fit import Fit, Plan, constant
from invae.training.learner import VAELearner
from invae.training.random_batches import NothingHeldOut
from invae.training.signal_sources import ArraySource
from invae.training.standardisation import set_scale

FOLDER = Path(__file__).parent
FAMILIES = ("rVAE", "rtVAE")
CPU = torch.device("cpu")
PEER_BATCH, LARGE_BATCH = 100, 2048
TIMES_PEERS, ENCODED_PER_SECOND = 20, 100_000
"""Goals: training relative to the faster peer, and patterns encoded [1/s]."""
BOUNDS = {"content": 0.02, "angle": 0.01, "shift": 0.02, "log_likelihood": 1e-3, "gradient": 1e-3}
"""Largest difference from the processor: content [sd between sites], angle [rad], shift [pixel], log likelihood and gradient
[relative]. 95 of 100 sites must be within the bound: an angle between two equal maxima may fall on either."""
ENDLESS = 1_000_000
"""Number of epochs that no benchmark reaches."""


@dataclass(frozen=True)
class Size:
    """How much work there is."""

    n_images: int
    side: int
    n_encoded: int
    seconds: float
    """Least time of a measurement [s]."""
    matrix: int
    """Rows and columns of the matrices of the peak."""
    peer_epochs: int


FULL = Size(8192, 48, 200_000, 12.0, 8192, 3)
QUICK = Size(256, 16, 256, 0.2, 256, 1)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    beside: str = ""
    goal: str = ""


def patterns(n: int, side: int, *, seed: int) -> np.ndarray:
    """Images (n, side, side) in 0–1 of two unequal spots at any angle, shifted by a few pixels, with noise."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, n)[:, None, None]
    shift = rng.normal(0, 0.03 * side, (2, n, 1, 1))
    y, x = (np.indices((side, side)) - (side - 1) / 2)[:, None] - shift
    reach = 0.22 * side
    up, across = reach * np.sin(angle), reach * np.cos(angle)
    spot = np.exp(-((y - up) ** 2 + (x - across) ** 2) / (0.02 * side**2))
    other = 0.5 * np.exp(-((y + up) ** 2 + (x + across) ** 2) / (0.01 * side**2))
    noisy = spot + other + rng.normal(0, 0.05, spot.shape)
    return noisy.clip(0, 1).astype(np.float32)


def training_of(
    family: str,
    images: np.ndarray,
    device: torch.device,
    *,
    batch: int,
    precision: Literal["auto", "float32"] = "auto",
    pieces: int = 1,
    workers: int | None = None,
) -> Fit[Signals]:
    """A training of the default model of a family, without held-out images."""
    source = ArraySource(images[:, None])
    sites, config = np.arange(len(source)), ModelConfig.model_validate({"family": family})
    model = build(config, source.geometries[IMAGE], seed=0).to(device)
    set_scale(model, source, sites)
    plan = Plan(
        ENDLESS,
        ENDLESS,
        learning_rate=1e-3,
        schedule=constant,
        gradient_clip=10.0,
        precision=precision,
        pieces=pieces,
    )
    return Fit(
        VAELearner(model, Objective.of(config)),
        Batches(source, sites, batch, device),
        NothingHeldOut(),
        plan=plan,
        seed=0,
        workers=workers,
    )


def per_second(work: Callable[[], int], device: torch.device, *, seconds: float) -> float:
    """Items per second of wall time: some work, which returns its number of items, after once to warm up, until the time is over."""
    work()
    rates, end = [], time.monotonic() + seconds
    while not rates or time.monotonic() < end:
        _wait(device)
        began = time.perf_counter()
        n = work()
        _wait(device)
        rates.append(n / (time.perf_counter() - began))
    return statistics.median(rates)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device, *, size: Size) -> tuple[float, torch.dtype]:
    """Floating-point operations per second of a product of two matrices, in the arithmetic of trainings on the device."""
    low = device.type == "cuda" and torch.cuda.is_bf16_supported()
    kind = torch.bfloat16 if low else torch.float32
    first = torch.rand(size.matrix, size.matrix, device=device).to(kind)
    product = torch.empty_like(first)

    def work() -> int:
        for _ in range(5):
            torch.mm(first, first, out=product)
        return 5 * 2 * size.matrix**3

    return per_second(work, device, seconds=size.seconds / 4), kind


def flops_per_image(fit: Fit[Signals]) -> float:
    """Operations of convolutions and matrix products of a step per image, forward and backward."""
    batch = next(iter(fit.training.epoch(0, seed=0)))
    generator = torch.Generator(fit.training.device).manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        noise = fit.learner.noise(len(batch), generator)
        fit.learner.loss(batch, noise, progress=0.0).value.backward()
    fit.optimizer.zero_grad()
    return counter.get_total_flops() / len(batch)


def memory(device: torch.device) -> str:
    """Most memory so far: of the device since the last measurement, or of this process."""
    if device.type == "cuda":
        used = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return f"{used / 1e6:,.0f} MB on the device"
    return f"{peak_mb():,.0f} MB of this process"


def training_rows(
    images: np.ndarray, device: torch.device, size: Size, peers: Mapping[str, float]
) -> Iterator[Row]:
    """Images per second of training, its share of the peak, and how many times that of the faster peer it is."""
    top, kind = peak(device, size=size)
    yield Row("product of matrices", f"{top / 1e12:.3g} TFLOP/s", str(kind).removeprefix("torch."))
    best = max(peers.values(), default=None)
    for family in FAMILIES:
        for batch in (PEER_BATCH, LARGE_BATCH):
            fit = training_of(family, images, device, batch=min(batch, len(images)))
            flops, epochs = flops_per_image(fit), fit.epochs()

            def epoch(epochs: Iterator[Any] = epochs) -> int:
                next(epochs)
                return len(images)

            rate = per_second(epoch, device, seconds=size.seconds)
            beside = f"{flops * rate / top:.3f} of the peak, {memory(device)}"
            goal = ""
            if batch == PEER_BATCH and family == "rtVAE" and best is not None:
                goal = f"≥ {TIMES_PEERS} × the peers: {rate / best:.1f} ×"
            yield Row(f"train {family}, batches of {batch}", f"{rate:,.0f} images/s", beside, goal)


def encoding_rows(device: torch.device, size: Size) -> Iterator[Row]:
    """Patterns per second of encoding, from arrays to arrays."""
    side = 64 if size is FULL else size.side
    some = patterns(min(size.n_encoded, 4096), side, seed=1)
    source = ArraySource(np.resize(some[:, None], (size.n_encoded, 1, side, side)))
    for family in FAMILIES:
        model = training_of(family, some, device, batch=PEER_BATCH).learner.module.eval()
        batches = Batches(source, np.arange(len(source)), LARGE_BATCH, device)

        def encode(model: Any = model, batches: Batches = batches) -> int:
            for batch in batches.in_order():
                encode_batch(model, batch)
            return len(source)

        rate = per_second(encode, device, seconds=size.seconds)
        goal = f"≥ {ENCODED_PER_SECOND:,}/s of 64²" if family == "rVAE" else ""
        yield Row(f"encode {family}, {side}²", f"{rate:,.0f} patterns/s", memory(device), goal)


def equality_rows(images: np.ndarray, device: torch.device) -> Iterator[Row]:
    """Differences from the processor with equal weights and equal noise, in float32."""
    some = images[: 2 * PEER_BATCH]
    for family in FAMILIES:
        here, there = (
            training_of(family, some, where, batch=len(some), precision="float32")
            for where in (CPU, device)
        )
        next(here.epochs())
        there.learner.module.load_state_dict(here.learner.module.state_dict())
        for name, difference in differences(here, there).items():
            within = "yes" if difference <= BOUNDS[name] else "**no**"
            bound = f"≤ {BOUNDS[name]:g}: {within}"
            yield Row(f"{family}: {name}, difference from the processor", f"{difference:.2g}", "", bound)  # fmt: skip


def differences(here: Fit[Signals], there: Fit[Signals]) -> dict[str, float]:
    """Differences of latent variables and of the gradient; see `BOUNDS`."""
    batches = [next(iter(fit.training.in_order())) for fit in (here, there)]  # type: ignore[attr-defined]
    own, other = (
        encode_batch(fit.learner.module, batch)  # type: ignore[arg-type]
        for fit, batch in zip((here, there), batches, strict=True)
    )
    found = {"content": np.abs(own["content"] - other["content"]) / own["content"].std()}
    found["angle"] = np.abs(np.angle(np.exp(1j * (own["angle"] - other["angle"]))))
    if "shift" in own:
        found["shift"] = np.abs(own["shift"] - other["shift"])
    likely = own["log_likelihood"]
    found["log_likelihood"] = np.abs(likely - other["log_likelihood"]) / np.abs(likely).mean()
    worst = {name: float(np.quantile(value, 0.95)) for name, value in found.items()}
    first, second = _gradients(here, batches[0]), _gradients(there, batches[1])
    return {**worst, "gradient": float((first - second).norm() / first.norm())}


def _gradients(fit: Fit[Signals], batch: Signals) -> torch.Tensor:
    noise = fit.learner.noise(len(batch), torch.Generator().manual_seed(0))
    noise = {name: value.to(fit.training.device) for name, value in noise.items()}
    fit.learner.module.zero_grad()
    fit.learner.loss(batch, noise, progress=0.0).value.backward()
    grads = [w.grad for w in fit.learner.module.parameters() if w.grad is not None]
    return torch.cat([gradient.flatten().cpu() for gradient in grads])


def peers(images: np.ndarray, size: Size) -> tuple[dict[str, float], list[Row]]:
    """Images per second of the peers' training with rotation and shift, and their rows."""
    rates: dict[str, float] = {}
    rows: list[Row] = []
    for name, package in (("AtomAI", "atomai"), ("pyroVED", "pyroved")):
        if importlib.util.find_spec(package) is None:
            rows.append(Row(f"train rtVAE by {name}", "left out", f"{package} is not installed"))
            continue
        rates[name] = _peer_rate(package, images, size)
        rows.append(Row(f"train rtVAE by {name}", f"{rates[name]:,.0f} images/s"))
    return rates, rows


def _peer_rate(package: str, images: np.ndarray, size: Size) -> float:
    from benchmarks.peers.ask import Request

    module = importlib.import_module(f"benchmarks.peers.run_{package}")
    request = asdict(Request(epochs=size.peer_epochs + 1, batch_size=PEER_BATCH))
    wall = module.train(request, images, images[:PEER_BATCH])["wall"]
    return len(images) / float(np.median(np.diff(wall)))


def ingest_rows(size: Size) -> Iterator[Row]:
    """Ingest of a 4D-STEM scan beside a copy of its file, where the libraries of stores are installed."""
    missing = [name for name in ("zarr", "dask") if importlib.util.find_spec(name) is None]
    if missing:
        yield Row("ingest of a 4D-STEM scan", "left out", f"{', '.join(missing)} not installed")
        return
    from benchmarks.fourd import works
    from benchmarks.fourd.scan import WHOLE, Scan, write
    from benchmarks.timing import in_turns, ratio

    scan = WHOLE if size is FULL else Scan(rows=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scan.npy")
        write(scan, file)
        times = in_turns(works.ingesting(file, Path(folder)), turns=3 if size is FULL else 1)
    own, copy = times[works.INGEST].wall, times[works.RAW_COPY].wall
    speed = scan.n_bytes / 1e6 / statistics.median(own)
    beside = f"{ratio(own, copy):.2f} of the speed of a flushed copy"
    yield Row(f"ingest of {scan.n_bytes / 1e6:,.0f} MB", f"{speed:,.0f} MB/s", beside, "≥ 0.3")


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """All rows; each is yielded when it is measured."""
    images = patterns(size.n_images, size.side, seed=0)
    rates, rows = peers(images, size)
    yield from rows
    with one_thread():
        yield from training_rows(images, device, size, rates)
        yield from encoding_rows(device, size)
        yield from equality_rows(images, device)
        yield from ingest_rows(size)


def name_of(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), one thread"


def table(rows: Sequence[Row], device: torch.device, size: Size, *, seconds: float) -> str:
    """The result as Markdown."""
    kind = "" if size is FULL else " Little data: a test of the script, not of the device."
    lines = [
        f"# Accelerator: {name_of(device)}, {datetime.now(UTC).date().isoformat()}\n",
        f"`python -m benchmarks.gpu`, {seconds:.0f} s; Python {platform.python_version()}, torch {torch.__version__}; "
        f"{size.n_images:,} images of {size.side}², seed 0; wall times, medians.{kind}\n",
        "| what | value | beside | goal |",
        "| --- | ---: | --- | --- |",
    ]
    lines += [f"| {row.what} | {row.value} | {row.beside} | {row.goal} |" for row in rows]
    return "\n".join(lines) + "\n"


def page_of(folder: Path, device: torch.device) -> Path:
    """The file of a table: `gpu_2026-11-30_nvidia-h200.md`."""
    words = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    slug = "-".join(words.lower().split())
    return folder / f"gpu_{datetime.now(UTC).date().isoformat()}_{slug}.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print every row at once, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="little data, to test the script")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the table")
    chosen = parser.parse_args(arguments)
    device, size = device_of(chosen.device), QUICK if chosen.quick else FULL
    rows, began = [], time.monotonic()
    for row in measure(device, size):
        print(f"{time.monotonic() - began:5.0f} s  {row.what}: {row.value}  {row.beside}  {row.goal}", flush=True)  # fmt: skip
        rows.append(row)
    page = page_of(chosen.out, device)
    page.write_text(table(rows, device, size, seconds=time.monotonic() - began))
    print(page)


if __name__ == "__main__":
    main()
