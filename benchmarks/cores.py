"""All cores and one: wall time of work that runs on several cores, and whether the values are equal.

`python -m benchmarks.cores` times embedding, the members of an ensemble, the networks of a model of pairs and a training with
batches in pieces, each with one worker and with all cores, in turns. As a control, two processes multiply matrices, one after the
other and at once: no work gains more than they do. On a busy machine read the ratios beside that of the control.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import training_of
from benchmarks.timing import matrix_products
from benchmarks.trials import cards
from benchmarks.written import put
from invae import EncoderDecoder, Ensemble, InvariantVAE
from invae.embedding.embed import encode_batches
from invae.storage.provenance import now
from invae.training.batches import Batches
from invae.training.device import n_cores, one_thread
from invae.training.parallel import in_processes
from invae.training.signal_sources import ArraySource

PAGE = Path(__file__).with_name("README.md")
CPU = torch.device("cpu")
N_PROCESSES = 2
"""Processes of the control."""
Digest = str


@dataclass(frozen=True)
class Size:
    """How much work there is."""

    n_patches: int
    n_encoded: int
    epochs: int
    n_members: int
    n_pairs: int
    n_products: int
    turns: int


FULL = Size(1280, 10_000, 4, 4, 300, 100, 3)
QUICK = Size(256, 600, 1, 2, 24, 2, 1)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    one: list[float]
    """Wall time with one worker, by turn [s]."""
    all: list[float]
    """Wall time with all cores, by turn [s]."""
    digests: set[Digest]
    """Of the values of all runs; equal values have one."""

    @property
    def ratio(self) -> float:
        """How many times as fast as one worker all cores are: the median over the turns."""
        return statistics.median(one / many for one, many in zip(self.one, self.all, strict=True))


def digest(values: Iterable[Any]) -> Digest:
    """SHA-256 of arrays, tensors or text."""
    whole = sha256()
    for value in values:
        array = value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def row_of(name: str, work: Callable[[int], Digest], *, turns: int) -> Row:
    """Times of some work, given the number of workers, in turns."""
    row = Row(name, [], [], set())
    for _ in range(turns):
        for workers, seconds in ((1, row.one), (n_cores(), row.all)):
            began = time.perf_counter()
            row.digests.add(work(workers))
            seconds.append(time.perf_counter() - began)
    return row


def control(size: Size) -> Row:
    """Processes that share nothing, one after the other and at once."""
    row = Row(f"{N_PROCESSES} processes that multiply matrices (control)", [], [], {""})
    work, numbers = partial(matrix_products, size.n_products), range(N_PROCESSES)
    for _ in range(size.turns):
        with one_thread():
            spans = in_processes(work, numbers, workers=1, listen=_ignore)
        row.one.append(sum(end - start for start, end in spans))
        spans = in_processes(work, numbers, workers=N_PROCESSES, listen=_ignore)
        row.all.append(max(end for _, end in spans) - min(start for start, _ in spans))
    return row


def _ignore(number: int, report: Any) -> None:
    """Reports are of no interest."""


def embedding(images: np.ndarray, size: Size) -> Row:
    """Encoding of images by a trained rVAE, in batches of 512."""
    vae = InvariantVAE("rVAE", training={"epochs": 1}, device="cpu").fit(images[: size.n_patches])
    repeated = np.resize(images, (size.n_encoded, 1, *images.shape[1:]))
    batches = Batches(ArraySource(repeated), np.arange(size.n_encoded), 512, CPU)

    def work(workers: int) -> Digest:
        with one_thread():
            return digest(encode_batches(vae.trained.model, batches, workers=workers).values())

    return row_of(f"embedding of {size.n_encoded:,} patches", work, turns=size.turns)


def ensemble(images: np.ndarray, size: Size) -> Row:
    """Training of the members of an ensemble of rVAEs; processes start, import and end within the time."""
    template = InvariantVAE("rVAE", training={"epochs": size.epochs}, device="cpu")

    def work(workers: int) -> Digest:
        made = Ensemble(template, n_members=size.n_members).fit(images, workers=workers)
        states = [member.trained.model.state_dict() for member in made.members]
        return digest(value for state in states for value in state.values())

    return row_of(f"ensemble of {size.n_members} members", work, turns=size.turns)


def pairs(images: np.ndarray, size: Size) -> Row:
    """Training of the networks of a model of pairs: three folds, then the members."""
    some = images[: size.n_pairs]
    spectra = np.fft.rfft(some.mean(1)).real.astype(np.float32)
    given = {"image": some, "spectrum": spectra}
    epochs = {"epochs": 20 * size.epochs}

    def work(workers: int) -> Digest:
        model = EncoderDecoder(
            n_members=2, n_folds=3, process=False, training=epochs, device="cpu"
        ).fit(given, workers=workers)
        return digest([model.predict(given)["mean"].values])

    return row_of("3 folds and 2 members of a model of pairs", work, turns=size.turns)


def pieces(images: np.ndarray, size: Size, *, n: int) -> Row:
    """Epochs of an rVAE with batches of 256 in pieces."""
    some = images[: len(images) // 256 * 256]

    def work(workers: int) -> Digest:
        fit = training_of("rVAE", some, CPU, batch=256, pieces=n, workers=workers)
        for _ in zip(range(size.epochs), fit.epochs(), strict=False):
            pass
        return digest(fit.learner.module.state_dict().values())

    what = "one piece" if n == 1 else f"{n} pieces"
    return row_of(f"training, batches of 256 in {what}", work, turns=size.turns)


def measure(size: Size) -> Iterator[Row]:
    """All rows, each when it is measured; the control comes before and after the others."""
    images = cards.arrays(cards.draw(cards.EASY, seed=0, n_per_suit=max(size.n_patches // 4, 64)))[
        0
    ]
    images = np.ascontiguousarray(images, np.float32)
    yield control(size)
    yield embedding(images, size)
    yield ensemble(images[: size.n_patches], size)
    yield pairs(images, size)
    for n in (1, 2, 4):
        yield pieces(images, size, n=n)
    yield control(size)


def table(rows: Sequence[Row], *, load: tuple[float, float]) -> str:
    """The result as Markdown; `load` is that of the machine before and afterwards."""
    lines = [
        f"{now()[:10]}, {n_cores()} cores ({platform.machine()}), one thread each; medians of {len(rows[0].one)} turn(s); "
        f"load of the machine before and afterwards {load[0]:.1f} and {load[1]:.1f}; torch {torch.__version__}.\n",
        "| work | 1 worker | all cores | times as fast | same values |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        one, many = (statistics.median(seconds) for seconds in (row.one, row.all))
        same = "yes" if len(row.digests) == 1 else "**no**"
        lines.append(f"| {row.name} | {one:.1f} s | {many:.1f} s | {row.ratio:.2f} | {same} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one turn")
    parser.add_argument("--turns", type=int, help="turns of every row")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else FULL
    if chosen.turns:
        size = Size(**{**vars(size), "turns": chosen.turns})
    before = os.getloadavg()[0]
    rows: list[Row] = []
    for row in measure(size):
        print(f"{row.name}: {row.ratio:.2f} times as fast", flush=True)
        rows.append(row)
    text = table(rows, load=(before, os.getloadavg()[0]))
    print(text)
    if chosen.write:
        put(PAGE, "cores", text)


if __name__ == "__main__":
    main()
