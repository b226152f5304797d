"""Run every trial for every seed, and write what came out into docs/scoreboard.md.

`make scoreboard`, or `python -m benchmarks.scoreboard --tasks cards-jrvae --seeds 2`. Every finished run is kept in benchmarks/.results
under a key made of its settings, its seed and the code that it ran, so a scoreboard that was stopped goes on where it was. Two runs go
side by side, each in a process with one thread; those that compare times go alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.page import CHAPTERS, chapter, chapters_of, page
from benchmarks.trial import Scores, Trial
from benchmarks.trials import TRIALS
from invae.storage.code_digest import code_digest
from invae.storage.provenance import digest_json, digest_path

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / ".results"
PAGE = ROOT / "docs" / "scoreboard.md"
LATENTS = (
    "invae.estimators.ensemble",
    "invae.estimators.invariant_vae",
    "invae.synthetic.cards",
    "invae.synthetic.digits",
    "invae.synthetic.domains",
    "invae.synthetic.shifts",
)
MODULES = {
    "latents": LATENTS,
    "microscopy": (
        *LATENTS,
        "invae.analysis.analyse",
        "invae.descriptors.describe",
        "invae.readers.ingest",
        "invae.synthetic.graphene",
        "invae.synthetic.stem_image",
    ),
}
"""Code that the numbers of a chapter depend on, with all that it imports."""
SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Run:
    """One trial with one seed."""

    trial: Trial
    seed: int
    quick: bool

    @property
    def file(self) -> Path:
        """Where its scores are kept."""
        own = [] if self.trial.peer else [code_digest(*MODULES[self.trial.chapter])]
        told = [self.trial.name, dict(self.trial.settings), self.seed, self.quick, *own, _judges()]
        return KEPT / f"{self.trial.name}-{self.seed}-{digest_json(told)[:12]}.json"

    def scores(self) -> Scores | None:
        """What came out; nothing if it has not been run."""
        return json.loads(self.file.read_text()) if self.file.exists() else None


@cache
def _judges() -> str:
    """Digest of the code that draws data and scores."""
    return digest_path(Path(__file__).parent / "scores.py").sha256


def run_here(run: Run) -> None:
    """Run in this process and keep the scores."""
    import torch

    torch.set_num_threads(1)
    found = run.trial.run(run.trial, run.seed, run.quick)
    KEPT.mkdir(exist_ok=True)
    partial = run.file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({k: float(v) for k, v in found.items()}, indent=1))
    partial.replace(run.file)


def run_apart(run: Run) -> bool:
    """Run in a process of its own, unless its scores are there; whether they are."""
    if run.file.exists():
        return True
    command = [sys.executable, "-m", "benchmarks.scoreboard", "--run", run.trial.name]
    command += ["--seed", str(run.seed), *(["--quick"] if run.quick else [])]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    took = time.perf_counter() - began
    print(
        f"{run.trial.name} seed {run.seed}: {'done' if done.returncode == 0 else 'FAILED'}, {took:.0f} s"
    )
    return done.returncode == 0


def run_all(runs: Sequence[Run]) -> bool:
    """Run what has not been run, two side by side, then one by one those that compare times; whether all went well."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        beside = list(pool.map(run_apart, [run for run in runs if not run.trial.exclusive]))
    return all([*beside, *map(run_apart, [run for run in runs if run.trial.exclusive])])


def found_of(runs: Sequence[Run]) -> Mapping[str, list[Scores]]:
    """Scores of the runs that are there, by trial, in the order of seeds."""
    found: dict[str, list[Scores]] = {}
    for run in runs:
        if (scores := run.scores()) is not None:
            found.setdefault(run.trial.name, []).append(scores)
    return found


def write(path: Path, names: set[str], *, quick: bool, peers: bool) -> None:
    """Write some chapters of the page anew, from all scores that are there; the others stay."""
    kept = chapters_of(path.read_text()) if path.exists() else {}
    for name in [name for name in CHAPTERS if name in names]:
        trials = [t for t in TRIALS if t.chapter == name and (peers or not t.peer)]
        runs = [Run(trial, seed, quick) for trial in trials for seed in range(trial.n_seeds)]
        kept[name] = chapter(name, trials, found_of(runs))
    path.write_text(page(kept))


def chosen(names: Sequence[str] | None) -> list[Trial]:
    """Trials by their names or the beginnings of them; all when empty.

    Raises:
        SystemExit: A name belongs to no trial.
    """
    for name in names or ():
        if not any(trial.name.startswith(name) for trial in TRIALS):
            known = ", ".join(trial.name for trial in TRIALS)
            raise SystemExit(f"no task is called {name}; there are {known}")
    return [t for t in TRIALS if not names or any(t.name.startswith(name) for name in names)]


def main() -> None:
    """Run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tasks", nargs="+", help="names of tasks or their beginnings; all when empty"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0")
    parser.add_argument(
        "--quick", action="store_true", help="little data, few epochs: does it run?"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write what is there")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        trial = next(trial for trial in TRIALS if trial.name == given.run)
        run_here(Run(trial, given.seed, given.quick))
        return
    trials = [t for t in chosen(given.tasks) if not (given.no_peers and t.peer)]
    runs = [
        Run(trial, seed, given.quick)
        for trial in trials
        for seed in range(min(given.seeds, trial.n_seeds))
    ]
    well = given.page_only or run_all(runs)
    write(
        given.out, {trial.chapter for trial in trials}, quick=given.quick, peers=not given.no_peers
    )
    print(given.out)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
