"""Print how fast a model trains on a set that memory cannot hold, beside the same training on the set in memory.

`python -m benchmarks.streaming`; `--quick` takes the fastest model and one turn, `--write` puts the table into benchmarks/README.md.
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
WANTED = "≥ 0.8"


@dataclass(frozen=True)
class Pair:
    """Trainings of one model on the same batches, turn by turn."""

    family: str
    held: list[Answer]
    streamed: list[Answer]

    @property
    def is_alike(self) -> bool:
        """Whether all came to the same values, to the last digit."""
        elbos = {tuple(answer.elbo) for answer in (*self.held, *self.streamed)}
        return len(elbos) == 1

    def ratio(self, clock: str) -> float:
        """Speed of streaming in units of that in memory, by `wall` or `cpu`."""
        own, other = (
            [statistics.median(getattr(answer, clock)) for answer in answers]
            for answers in (self.streamed, self.held)
        )
        return ratio(own, other)


def compare(path: Path, family: str, *, turns: int) -> Pair:
    """Train on the same batches from memory and from the store, in turns."""
    held = Run(str(path), family, streamed=False)
    streamed = replace(held, streamed=True)
    found = [(trained(held), trained(streamed)) for _ in range(turns)]
    return Pair(family, [one for one, _ in found], [other for _, other in found])


def page(pairs: Sequence[Pair], patches: PatchSet, *, turns: int) -> str:
    """The table, and what it was measured on."""
    lines = [
        f"{patches.n_sites:,} patches of {SIDE}² ({patches.n_bytes / 1e6:,.0f} MB in memory with their masks), seed {patches.seed}, batches "
        f"of {BATCH}; the store is read from the disk in every epoch; "
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), one thread for the model; medians of {turns} turn(s); "
        f"Python {platform.python_version()}, torch {torch.__version__}.",
        "",
        "| model | in memory | streamed | ratio, wall time | ratio, processor time | wanted | peak memory taken by patches and training | same values |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- |",
    ]
    lines += [_row(pair, patches) for pair in pairs]
    return "\n".join(lines) + "\n"


def _row(pair: Pair, patches: PatchSet) -> str:
    """Of one model; an epoch trains on some sites and judges the others."""
    rates = [
        patches.n_sites / statistics.median(second for answer in answers for second in answer.wall)
        for answers in (pair.held, pair.streamed)
    ]
    grown = [max(answer.grown_mb for answer in one) for one in (pair.held, pair.streamed)]
    return (
        f"| {pair.family} | {rates[0]:,.0f}/s | {rates[1]:,.0f}/s | {pair.ratio('wall'):.2f} | {pair.ratio('cpu'):.2f} | {WANTED} | "
        f"{grown[0]:,.0f} → {grown[1]:,.0f} MB | {'yes' if pair.is_alike else 'no'} |"
    )


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the fastest model, one turn")
    parser.add_argument("--write", action="store_true", help="into benchmarks/README.md")
    asked = parser.parse_args()
    patches, turns = PatchSet(), 1 if asked.quick else TURNS
    with scratch() as folder:
        write(patches, folder / "descriptors.zarr")
        families = list(MODELS)[: 1 if asked.quick else None]
        pairs = [compare(folder / "descriptors.zarr", name, turns=turns) for name in families]
    text = page(pairs, patches, turns=turns)
    print(text)
    if asked.write:
        put(PAGE, "streaming", text)


if __name__ == "__main__":
    main()
