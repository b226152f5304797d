"""The peers' own models on the arrays of the trials; few seeds and little time, since they need fifty times as much."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import scores
from benchmarks.peers.ask import Answer, Request, ask
from benchmarks.trial import Goal, Scores, Trial
from benchmarks.trials import cards, digits
from benchmarks.trials.speed import PEERS, UNTIL, resultant

JOINT_SECONDS, TURN_SECONDS, DIGIT_SECONDS = 300.0, 450.0, 300.0
"""Processor time after which the training of a peer ends [s]."""
PACKAGES = {"AtomAI": "AtomAI 0.8.1", "pyroVED": "pyroVED 0.3.0"}


def joint(peer: str, trial: Trial, seed: int, quick: bool) -> Scores:
    """Classes and angles of a peer's jrVAE on our cards."""
    settings = trial.settings
    n_per_suit = 25 if quick else settings["n_per_suit"]
    images = cards.arrays(cards.draw(settings["cards"], seed=seed, n_per_suit=n_per_suit))[0]
    unseen = cards.draw(settings["cards"], seed=cards.UNSEEN + seed, n_per_suit=cards.N_UNSEEN)
    answer = ask(peer, _request(settings, seed, quick), images, cards.arrays(unseen)[0])
    classes, suit = answer.latents["class"].astype(int), cards.arrays(unseen)[1]
    return {
        "accuracy": scores.accuracy(classes, suit),
        "rand_index": scores.rand_index(classes, suit),
        "resultant": resultant(answer.latents["angle"], unseen),
    } | _cost(answer, len(images))


def until_turned(peer: str, trial: Trial, seed: int, quick: bool) -> Scores:
    """Processor time until the resultant of a peer's rVAE exceeds 0.9; NaN if it never does."""
    n_per_suit = 25 if quick else None
    images = cards.arrays(cards.draw(cards.EASY, seed=seed, n_per_suit=n_per_suit))[0]
    unseen = cards.draw(cards.EASY, seed=cards.UNSEEN + seed, n_per_suit=100)
    answer = ask(peer, _request(trial.settings, seed, quick), images, cards.arrays(unseen)[0])
    course = np.array([resultant(angle, unseen) for angle in answer.angles])
    enough = np.flatnonzero(course > trial.settings["resultant"])
    return {
        "until": float(answer.cpu[enough[0]]) if len(enough) else np.nan,
        "resultant": float(course.max()),
    } | _cost(answer, len(images))


def clustered(peer: str, trial: Trial, seed: int, quick: bool) -> Scores:
    """Clusters and poses of a peer's rVAE with translation on MNIST(U)."""
    seen, unseen = digits.posed_halves(trial, seed, quick=quick)
    request = _request(trial.settings, seed, quick)
    answer = ask(peer, request, seen["image"].to_numpy(), unseen["image"].to_numpy())
    true = unseen["shift"].to_numpy()
    tries = [
        digits.judge(_as_ours(answer.latents, true, sign=sign), unseen, seed=seed)
        for sign in (1, -1)
    ]
    best = max(tries, key=lambda values: values["angle_correlation"])
    return best | _cost(answer, seen.sizes["frame"])


def _as_ours(
    latents: Mapping[str, np.ndarray], true: np.ndarray, *, sign: int
) -> dict[str, np.ndarray]:
    """A peer's pose in our convention, with angles multiplied by `sign`.

    Their grid is R(φ)p + d, so that the object is at −R(φ)ᵀd; the order and the directions of the axes are chosen by the best fit.
    """
    angle, (first, second) = latents["angle"], latents["shift"].T
    cos, sin = np.cos(sign * angle), np.sin(sign * angle)
    position = np.stack([cos * first - sin * second, sin * first + cos * second], axis=1)
    correlation = np.array(
        [[scores.pearson(own, expected) for own in position.T] for expected in true.T]
    )
    axis = abs(correlation).argmax(1)
    signs = np.sign(correlation[[0, 1], axis])
    return {**latents, "angle": sign * angle, "shift": signs * position[:, axis]}


def _request(settings: Mapping[str, Any], seed: int, quick: bool) -> Request:
    request = Request(**settings["peer"], seed=seed)
    return replace(request, cpu_seconds=20.0) if quick else request


def _cost(answer: Answer, n_images: int) -> Scores:
    return {
        "seconds": float(answer.wall[-1]),
        "seconds_cpu": float(answer.cpu[-1]),
        "images_per_second": n_images * len(answer.cpu) / float(answer.cpu[-1]),
        "epochs": float(len(answer.cpu)),
    }


def _on_cards(peer: str) -> tuple[Trial, ...]:
    package, short = PACKAGES[peer], peer.lower()
    joint_trial = Trial(
        name=f"{short}-jrvae",
        words=f"{package}, jrVAE with translation, 2,000 cards, up to {JOINT_SECONDS:.0f} s of processor time",
        run=partial(joint, peer),
        settings={
            "cards": cards.EASY,
            "n_per_suit": 500,
            "peer": {"epochs": 40, "n_classes": 4, "cpu_seconds": JOINT_SECONDS},
        },
        goals=(Goal("accuracy", "accuracy"), Goal("resultant", "angle resultant")),
        n_seeds=1,
        peer=package,
        peer_of=cards.JOINT.name,
    )
    sampler = "gaussian"  # the noise makes values outside 0–1
    hard = {"cards": cards.HARD, "peer": {**joint_trial.settings["peer"], "sampler": sampler}}
    return (
        joint_trial,
        replace(
            joint_trial,
            name=f"{short}-jrvae-hard",
            settings={**joint_trial.settings, **hard},
            peer_of=cards.JOINT_HARD.name,
        ),
        Trial(
            name=f"{short}-until",
            words=f"{package}, rVAE with translation, 12,000 cards, up to {TURN_SECONDS:.0f} s of processor time",
            run=partial(until_turned, peer),
            settings={
                "resultant": UNTIL.settings["resultant"],
                "peer": {"epochs": 1000, "trace": True, "cpu_seconds": TURN_SECONDS},
            },
            goals=(Goal("until", "processor time until 0.9 [s]"), Goal("resultant", "best value")),
            n_seeds=1,
            peer=package,
            peer_of=UNTIL.name,
        ),
    )


def _on_digits(peer: str) -> Trial:
    package = PACKAGES[peer]
    return Trial(
        name=f"{peer.lower()}-digits",
        words=f"{package}, rVAE with translation, up to {DIGIT_SECONDS:.0f} s of processor time",
        run=partial(clustered, peer),
        settings={
            "digits": digits.UNIFORM,
            "peer": {"epochs": 1000, "latent_dim": 10, "cpu_seconds": DIGIT_SECONDS},
        },
        goals=digits.MNIST_U.goals,
        n_seeds=1,
        peer=package,
        peer_of=digits.MNIST_U.name,
    )


TRIALS = tuple(trial for peer in PEERS for trial in (*_on_cards(peer), _on_digits(peer)))
