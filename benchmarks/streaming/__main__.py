"""Print how fast a model trains on a set that memory cannot hold, compared with the same training in memory.

`python -m benchmarks.streaming`; `--quick` uses the fastest model and one turn, `--write` writes the table into benchmarks/README.md.
"""

import argparse
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.run import scratch
from benchmarks.streaming.patches import SIDE, PatchSet, write
from benchmarks.streaming.training import BATCH, MODELS, Answer, Run, trained
from benchmarks.timing import ratio
from benchmarks.written import put

PAGE = Path(__file__).parents[1] / "README.md"
TURNS = 3
GOAL = "≥ 0.8"


@dataclass(frozen=True)
class Pair:
    """Trainings of one model on the same batches, turn by turn."""

    family: str
    in_memory: list[Answer]
    streamed: list[Answer]

    @property
    def has_same_values(self) -> bool:
        """Whether all trainings have the same values to the last digit."""
        elbos = {tuple(answer.elbo) for answer in (*self.in_memory, *self.streamed)}
        return len(elbos) == 1

    def ratio(self, clock: str) -> float:
        """Speed of streaming relative to training in memory, by `wall` or `cpu`."""
        own, other = (
            [statistics.median(getattr(answer, clock)) for answer in answers]
            for answers in (self.streamed, self.in_memory)
        )
        return ratio(own, other)


def compare(path: Path, family: str, *, turns: int) -> Pair:
    """Train on the same batches from memory and from the store, in turns."""
    in_memory = Run(str(path), family, streamed=False)
    streamed = replace(in_memory, streamed=True)
    answers = [(trained(in_memory), trained(streamed)) for _ in range(turns)]
    return Pair(family, [first for first, _ in answers], [second for _, second in answers])


def page(pairs: Sequence[Pair], patches: PatchSet, *, turns: int) -> str:
    """The table and the conditions of its measurement."""
    lines = [
        f"{patches.n_sites:,} patches of {SIDE}² ({patches.n_bytes / 1e6:,.0f} MB in memory with their masks), seed {patches.seed}, batches "
        f"of {BATCH}; the store is read from the disk in every epoch; "
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), one thread for the model; medians of {turns} turn(s); "
        f"Python {platform.python_version()}, torch {torch.__version__}.",
        "",
        "| model | in memory | streamed | ratio, wall time | ratio, processor time | goal | peak memory of patches and training | same values |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- |",
    ]
    lines += [_row(pair, patches) for pair in pairs]
    return "\n".join(lines) + "\n"


def _row(pair: Pair, patches: PatchSet) -> str:
    """The row of one model; an epoch trains on some sites and evaluates the others."""
    rates = [
        patches.n_sites / statistics.median(second for answer in answers for second in answer.wall)
        for answers in (pair.in_memory, pair.streamed)
    ]
    grown = [max(a.grown_mb for a in answers) for answers in (pair.in_memory, pair.streamed)]
    return (
        f"| {pair.family} | {rates[0]:,.0f}/s | {rates[1]:,.0f}/s | {pair.ratio('wall'):.2f} | {pair.ratio('cpu'):.2f} | {GOAL} | "
        f"{grown[0]:,.0f} → {grown[1]:,.0f} MB | {'yes' if pair.has_same_values else 'no'} |"
    )


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the fastest model, one turn")
    parser.add_argument("--write", action="store_true", help="write into benchmarks/README.md")
    options = parser.parse_args()
    patches, turns = PatchSet(), 1 if options.quick else TURNS
    with scratch() as folder:
        write(patches, folder / "descriptors.zarr")
        families = list(MODELS)[: 1 if options.quick else None]
        pairs = [compare(folder / "descriptors.zarr", name, turns=turns) for name in families]
    text = page(pairs, patches, turns=turns)
    print(text)
    if options.write:
        put(PAGE, "streaming", text)


if __name__ == "__main__":
    main()
