"""Run every trial for every seed, and write the results into docs/scoreboard.md.

`make scoreboard`, or `python -m benchmarks.scoreboard --tasks cards-jrvae --seeds 2`. Every finished run is stored in benchmarks/.results
under a key of its settings, its seed and the code that it ran, so that an interrupted scoreboard resumes. Two runs are done in parallel,
each in a process with one thread; runs that compare times are done alone.
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
RESULTS = Path(__file__).parent / ".results"
PAGE = ROOT / "docs" / "scoreboard.md"
LATENTS = (
    "invae.estimators.clustering",
    "invae.estimators.ensemble",
    "invae.estimators.invariant_vae",
    "invae.synthetic.cards",
    "invae.synthetic.digits",
    "invae.synthetic.domains",
    "invae.synthetic.shifts",
)
MODULES = {
    "latents": LATENTS,
    "verdict": LATENTS,
    "microscopy": (
        *LATENTS,
        "invae.analysis.analyse",
        "invae.descriptors.describe",
        "invae.descriptors.domains.registration",
        "invae.readers.ingest",
        "invae.synthetic.domains",
        "invae.synthetic.graphene",
        "invae.synthetic.stem_image",
    ),
    "domains": (
        "invae.analysis.domains.scores",
        "invae.descriptors.domains.detection",
        "invae.segmentation.wall_finder",
        "invae.synthetic.domains",
        "invae.synthetic.wall_frames",
    ),
    "active": (
        "invae.active.instruments",
        "invae.active.search",
        "invae.estimators.encoder_decoder",
        "invae.synthetic.domains",
        "invae.synthetic.plasmon_specimens",
    ),
    "polycrystal": (
        "invae.analysis.grains.groups",
        "invae.readers.ingest",
        "invae.synthetic.polycrystal",
    ),
    "pairs": (
        "invae.estimators.dual_vae",
        "invae.estimators.encoder_decoder",
        "invae.regression.baselines",
        "invae.regression.scores",
        "invae.synthetic.inverse_design",
        "invae.synthetic.particles_of_image",
        "invae.synthetic.plasmon_specimens",
    ),
}
"""Code that determines the numbers of a chapter, including all of its imports."""
IN_PARALLEL = 2


@dataclass(frozen=True)
class Run:
    """One trial with one seed."""

    trial: Trial
    seed: int
    quick: bool

    @property
    def file(self) -> Path:
        """File of its scores."""
        code = [] if self.trial.peer else [code_digest(*MODULES[self.trial.chapter])]
        key = [self.trial.name, dict(self.trial.settings), self.seed, self.quick, *code, _judges()]
        return RESULTS / f"{self.trial.name}-{self.seed}-{digest_json(key)[:12]}.json"

    def scores(self) -> Scores | None:
        """The scores; none if it has not been run."""
        return json.loads(self.file.read_text()) if self.file.exists() else None


@cache
def _judges() -> str:
    """Digest of the code that generates data and scores."""
    return digest_path(Path(__file__).parent / "scores.py").sha256


def run_here(run: Run) -> None:
    """Run in this process and store the scores."""
    import torch

    torch.set_num_threads(1)
    scores = run.trial.run(run.trial, run.seed, run.quick)
    RESULTS.mkdir(exist_ok=True)
    partial = run.file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({k: float(v) for k, v in scores.items()}, indent=1))
    partial.replace(run.file)


def run_apart(run: Run) -> bool:
    """Run in a separate process unless its scores exist; returns whether they exist then."""
    if run.file.exists():
        return True
    command = [sys.executable, "-m", "benchmarks.scoreboard", "--run", run.trial.name]
    command += ["--seed", str(run.seed), *(["--quick"] if run.quick else [])]
    began = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - began
    outcome = "done" if process.returncode == 0 else "FAILED"
    print(f"{run.trial.name} seed {run.seed}: {outcome}, {seconds:.0f} s")
    return process.returncode == 0


def run_all(runs: Sequence[Run]) -> bool:
    """Run everything that has not been run, two in parallel, then those that compare times; returns whether all succeeded."""
    with ThreadPoolExecutor(IN_PARALLEL) as pool:
        parallel = list(pool.map(run_apart, [run for run in runs if not run.trial.exclusive]))
    return all([*parallel, *map(run_apart, [run for run in runs if run.trial.exclusive])])


def results_of(runs: Sequence[Run]) -> Mapping[str, list[Scores]]:
    """Scores of the finished runs by trial, in the order of seeds."""
    results: dict[str, list[Scores]] = {}
    for run in runs:
        if (scores := run.scores()) is not None:
            results.setdefault(run.trial.name, []).append(scores)
    return results


def write(path: Path, names: set[str], *, quick: bool, peers: bool) -> None:
    """Rewrite some chapters of the page from all finished runs; the others stay, and so do tasks without a finished run."""
    chapters = chapters_of(path.read_text()) if path.exists() else {}
    for name in [name for name in CHAPTERS if name in names]:
        trials = [t for t in TRIALS if t.chapter == name and (peers or not t.peer)]
        runs = [Run(trial, seed, quick) for trial in trials for seed in range(trial.n_seeds)]
        chapters[name] = chapter(name, trials, results_of(runs), before=chapters.get(name, ""))
    path.write_text(page(chapters))


def chosen(names: Sequence[str] | None) -> list[Trial]:
    """Trials by their names or the beginnings of their names; all without names.

    Raises:
        SystemExit: If no trial has such a name.
    """
    for name in names or ():
        if not any(trial.name.startswith(name) for trial in TRIALS):
            available = ", ".join(trial.name for trial in TRIALS)
            raise SystemExit(f"no task is called {name}; choose one of {available}")
    return [t for t in TRIALS if not names or any(t.name.startswith(name) for name in names)]


def main() -> None:
    """Run the trials and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tasks", nargs="+", help="names of tasks or their beginnings; all when empty"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0")
    parser.add_argument(
        "--quick", action="store_true", help="little data and few epochs, as a test"
    )
    parser.add_argument("--no-peers", action="store_true", help="without the peers")
    parser.add_argument("--page-only", action="store_true", help="only write the page")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        trial = next(trial for trial in TRIALS if trial.name == options.run)
        run_here(Run(trial, options.seed, options.quick))
        return
    trials = [t for t in chosen(options.tasks) if not (options.no_peers and t.peer)]
    runs = [
        Run(trial, seed, options.quick)
        for trial in trials
        for seed in range(min(options.seeds, trial.n_seeds))
    ]
    succeeded = options.page_only or run_all(runs)
    write(
        options.out,
        {trial.chapter for trial in trials},
        quick=options.quick,
        peers=not options.no_peers,
    )
    print(options.out)
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main()
