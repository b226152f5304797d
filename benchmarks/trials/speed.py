"""Speed compared with the peers: the same arrays, the same batches, equal latent variables, on two threads, in turns."""

import statistics
from collections import defaultdict
from typing import Any

import numpy as np
import torch

from benchmarks import scores
from benchmarks.peers.ask import Request, ask
from benchmarks.trial import Goal, Scores, Trial, clock
from benchmarks.trials import cards
from invae import InvariantVAE

PEERS = ("AtomAI", "pyroVED")


def side_by_side(trial: Trial, seed: int, quick: bool) -> Scores:
    """Training images per second of wall and of processor time, ours and theirs in turns."""
    drawn = cards.draw(cards.EASY, seed=seed, n_per_suit=trial.settings["n_per_suit"])
    images, threads = cards.arrays(drawn)[0], trial.settings["threads"]
    rates: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for turn in range(1 if quick else trial.settings["turns"]):
        rates["ours"].append(_ours(trial, images, seed=turn, threads=threads))
        for peer in PEERS:
            rates[peer].append(_theirs(trial, peer, images, seed=turn, threads=threads))
    values: Scores = {}
    for name, pairs in rates.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        values |= {f"{name}_images_per_second": wall, f"{name}_images_per_second_cpu": cpu}
    for peer in PEERS:
        for time in ("second", "second_cpu"):
            ratio = values[f"ours_images_per_{time}"] / values[f"{peer}_images_per_{time}"]
            values[f"ratio_{peer}" + time.removeprefix("second")] = ratio
    return values | {"images_per_second": values["ours_images_per_second"]}


def _ours(trial: Trial, images: np.ndarray, *, seed: int, threads: int) -> tuple[float, float]:
    """Images per second of wall and of processor time; the first epoch warms up."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times: list[tuple[float, float]] = []
    try:
        vae = InvariantVAE(**trial.settings["model"], seed=seed)
        with clock() as took:
            # The clock continues while it is read: only the differences between epochs count.
            vae.fit(images, on_epoch=lambda epoch: times.append(took.so_far()))
    finally:
        torch.set_num_threads(before)
    return _rates(np.array(times), len(images))


def _theirs(
    trial: Trial, peer: str, images: np.ndarray, *, seed: int, threads: int
) -> tuple[float, float]:
    settings = trial.settings["peer"]
    request = Request(**settings, seed=seed, threads=threads)
    answer = ask(peer, request, images, images[:100])
    return _rates(np.stack([answer.wall, answer.cpu], axis=1), len(images))


def _rates(times: np.ndarray, n_images: int) -> tuple[float, float]:
    wall, cpu = n_images / np.median(np.diff(times, axis=0), axis=0)
    return float(wall), float(cpu)


def until_turned(trial: Trial, seed: int, quick: bool) -> Scores:
    """Processor time of the shortest training after which the resultant of the angle exceeds 0.9 on unseen cards [s]."""
    n_per_suit = 100 if quick else None
    images = cards.arrays(cards.draw(cards.EASY, seed=seed, n_per_suit=n_per_suit))[0]
    unseen = cards.draw(cards.EASY, seed=cards.UNSEEN + seed, n_per_suit=100)
    for epochs in trial.settings["lengths"]:
        model = dict(trial.settings["model"])
        model["training"] = {**model["training"], "epochs": epochs}
        vae = InvariantVAE(**model, seed=seed)
        with clock() as took:
            vae.fit(images)
        angle = vae.encode(cards.arrays(unseen)[0])["angle"].to_numpy()
        reached = resultant(angle, unseen)
        if reached > trial.settings["resultant"]:
            break
    return {
        "resultant": reached,
        "epochs": float(epochs),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
        "until": took.seconds_cpu if reached > trial.settings["resultant"] else np.nan,
    }


def resultant(angle: np.ndarray, truth: Any) -> float:
    """Mean over suits, modulo their symmetry; for the better sign, since a peer may count angles in the other direction."""
    true, suit = truth["angle"].to_numpy(), truth["suit"].to_numpy().astype(int)
    return max(
        float(scores.resultants(sign * angle, true, suit, symmetry=cards.SYMMETRY).mean())
        for sign in (1, -1)
    )


def _images_per_second(family: str, words: str, *, translation: bool) -> Trial:
    return Trial(
        name=f"speed-{family}",
        words=f"{words}: training images per second at 48², batch 100, two latents, two threads",
        run=side_by_side,
        settings={
            "n_per_suit": 250,
            "threads": 2,
            "turns": 3,
            "model": {
                "family": family,
                "latent_dim": 2,
                "training": {"epochs": 8, "batch_size": 100, "held_out": 0.0, "patience": 100},
            },
            "peer": {"epochs": 3, "latent_dim": 2, "translation": translation},
        },
        goals=(
            Goal("ratio_AtomAI", "ours relative to AtomAI", "1", 20.0),
            Goal("ratio_pyroVED", "ours relative to pyroVED", "1", 20.0),
            Goal("ratio_AtomAI_cpu", "the same per second of processor time"),
            Goal("ratio_pyroVED_cpu", "the same per second of processor time"),
            Goal("ours_images_per_second", "ours [1/s]"),
            Goal("AtomAI_images_per_second", "AtomAI's [1/s]"),
            Goal("pyroVED_images_per_second", "pyroVED's [1/s]"),
        ),
        n_seeds=1,
        exclusive=True,
        remark="The same 1,000 cards for all, in turns, three times; medians over epochs after the first.",
    )


UNTIL = Trial(
    name="speed-until",
    words="rtVAE, a=120°, s=10°: processor time of the shortest training after which the angle resultant exceeds 0.9",
    run=until_turned,
    settings={
        "resultant": 0.9,
        "lengths": [1, 2, 3, 4, 6, 8, 12],
        "model": {
            "family": "rtVAE",
            "latent_dim": 2,
            "translation": {"prior_sd": 0.12},
            "training": {"batch_size": 100, "patience": 100},
        },
    },
    goals=(Goal("until", "processor time until the resultant exceeds 0.9 [s]", better="low"),),
    remark="A training of each length starts from scratch; the time is that of the first sufficient length. "
    "Peers are evaluated after every epoch of one training.",
)
TRIALS = (
    _images_per_second("rVAE", "rVAE (rotations)", translation=False),
    _images_per_second("rtVAE", "rtVAE (rotations and shifts)", translation=True),
    UNTIL,
)
