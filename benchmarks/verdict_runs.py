"""The runs of one seed of the task `verdict`, a line for each: accuracy, light, findings."""

import argparse
from dataclasses import replace

import torch

from benchmarks.trials.verdict import HOPEFUL, MODEL, SPOILED, count, run_of, settings_of


def main() -> None:
    """Print the runs of a seed."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of settings; those of the seed when empty")
    parser.add_argument("--images", type=int, help="images per setting, instead of its own number")
    options = parser.parse_args()
    every = {**HOPEFUL, **SPOILED}
    chosen = {n: every[n] for n in options.only} if options.only else settings_of(options.seed)
    runs = []
    for name, setting in chosen.items():
        n_images = min(options.images or setting.n_images, setting.n_images)
        runs.append(run_of(name, replace(setting, n_images=n_images), MODEL, seed=options.seed))
        print(runs[-1], flush=True)
    print(count(runs))


if __name__ == "__main__":
    main()
