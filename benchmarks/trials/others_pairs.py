"""The peers' models of spectra from images on the pairs of our trials, and the speed of their training compared with ours."""

import statistics
from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from benchmarks.peers.ask import Request, SpectraAnswer, ask_spectra
from benchmarks.trial import Goal, Scores, Trial, clock
from benchmarks.trials import pairs
from benchmarks.trials.others import PACKAGES
from benchmarks.trials.speed import PEERS
from invae import EncoderDecoder
from invae.pairs.data import pairs_of
from invae.pairs.fitting import Learning
from invae.progress import silent
from invae.training.split import Split

SECONDS = 120.0
"""Processor time after which the training of a peer ends, unless its documentation recommends more epochs [s]."""
LENGTHS = (5, 10, 20, 40, 80, 120, 160, 240, 320, 480, 640)
"""Epochs after which a peer is scored, besides the last one."""
MODELS = {"AtomAI": "ImSpec", "pyroVED": "VED"}
LEAST_EPOCHS = {
    "AtomAI": {100: 1000, 1000: 120},
    "pyroVED": {100: 100, 1000: 100},
}
"""By the number of pairs, as in the examples of their documentation; ImSpec learns from one batch per epoch of 100 pairs, and 1,000 batches are
its default."""
SETTINGS = {
    "AtomAI": {"latent_dim": 10, "batch_size": 64},
    "pyroVED": {"latent_dim": 10, "sampler": "gaussian", "decoder_sd": 0.03},
}
"""Latent variables as in AtomAI's documentation. The sd of VED is that of the noise; with its default of .5 it predicts the same
spectrum for all images of 100 pairs (R² −.5)."""


def predicted(peer: str, trial: Trial, seed: int, quick: bool) -> Scores:
    """Scores of a peer's spectra of unseen assemblies after the best length of its training.

    The best length is that with the highest R² on the unseen assemblies themselves, which favours the peer. `r2_last` is after the last
    epoch, `r2_in_time` the best within the processor time that is allowed.
    """
    settings = trial.settings
    training, unseen = pairs.assemblies(
        settings["pairs"], settings["material"], seed=seed, pixels=settings["pixels"]
    )
    request = Request(**settings["peer"], seed=seed)
    if quick:
        request = replace(request, cpu_seconds=10.0, least_epochs=0)
    answer = _asked(peer, request, training, unseen.images)
    spectra = answer.spectra * np.ptp(training.spectra) + training.spectra.min()
    tries = [pairs.against_truth(each, unseen) for each in spectra]
    best = max(range(len(tries)), key=lambda number: tries[number]["r2"])
    in_time = [
        found["r2"]
        for found, length in zip(tries, answer.lengths, strict=True)
        if answer.cpu[length - 1] <= request.cpu_seconds
    ]
    return {
        **tries[best],
        "best_epoch": float(answer.lengths[best]),
        "r2_last": tries[-1]["r2"],
        "r2_in_time": max(in_time, default=float("nan")),
        "pairs_per_second": answer.n_pairs * len(answer.cpu) / float(answer.cpu[-1]),
        "seconds": float(answer.wall[-1]),
        "seconds_cpu": float(answer.cpu[-1]),
        "epochs": float(len(answer.cpu)),
    }


def _asked(
    peer: str, request: Request, training: pairs.PairSet, probe: np.ndarray
) -> SpectraAnswer:
    """Images and spectra scaled to 0–1, as the peers take them."""
    least, extent = training.images.min(), np.ptp(training.images)
    spectra = (training.spectra - training.spectra.min()) / np.ptp(training.spectra)
    return ask_spectra(
        peer, request, (training.images - least) / extent, spectra, (probe - least) / extent
    )


def side_by_side(trial: Trial, seed: int, quick: bool) -> Scores:
    """Training pairs per second of processor time of one network, ours and theirs in turns."""
    settings = trial.settings
    training, unseen = pairs.assemblies(
        settings["pairs"], settings["material"], seed=seed, pixels=settings["pixels"]
    )
    rates: dict[str, list[float]] = defaultdict(list)
    for turn in range(1 if quick else settings["turns"]):
        cpu = _epochs_of_ours(training, settings["epochs"], seed=turn)
        rates["ours"].append(_rate(cpu, len(training.images)))
        for peer in PEERS:
            request = Request(**settings["peer"], **SETTINGS[peer], seed=turn)
            answer = _asked(peer, request, training, unseen.images[:10])
            rates[peer].append(_rate(answer.cpu, answer.n_pairs))
    found = {f"{name}_pairs_per_second": statistics.median(rates[name]) for name in rates}
    ours = found["ours_pairs_per_second"]
    return {
        **found,
        **{f"ratio_{peer}": ours / found[f"{peer}_pairs_per_second"] for peer in PEERS},
    }


def _epochs_of_ours(training: pairs.PairSet, n_epochs: int, *, seed: int) -> np.ndarray:
    """Processor time at the end of every epoch of one of our networks, trained on all pairs as the final ones are [s]."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, times = EncoderDecoder(seed=seed, device="cpu"), []
    given = pairs_of(training.given)
    try:
        with clock() as took:
            Learning(
                model.config,
                model.training,
                seed,
                model.device,
                on_epoch=lambda epoch: times.append(took.so_far()[1]),
            ).members(
                given,
                [Split(np.arange(len(given)), np.zeros(0, int))],
                name="members",
                n_epochs=n_epochs,
                first=0,
                progress=silent,
            )
    finally:
        torch.set_num_threads(before)
    return np.array(times)


def _rate(cpu: np.ndarray, n_pairs: int) -> float:
    """Pairs per second; the first epoch warms up."""
    return float(n_pairs * (len(cpu) - 1) / (cpu[-1] - cpu[0]))


def _of_peer(peer: str, ours: Trial) -> Trial:
    n_pairs = ours.settings["pairs"]
    package, model = PACKAGES[peer], MODELS[peer]
    least_epochs = LEAST_EPOCHS[peer][n_pairs]
    return Trial(
        name=f"{peer.lower()}-{model.lower()}-{n_pairs}",
        words=f"{package}, {model}, {n_pairs} pairs: up to {SECONDS:.0f} s of processor time, or {least_epochs:,} epochs if they take longer",
        run=partial(predicted, peer),
        settings={
            **ours.settings,
            "peer": {
                **SETTINGS[peer],
                "epochs": 100_000,
                "least_epochs": least_epochs,
                "cpu_seconds": SECONDS,
                "lengths": LENGTHS,
            },
        },
        goals=(
            Goal("r2", "R² of unseen assemblies"),
            Goal("peak", "median error of the peak [meV]", better="low"),
            Goal("peak_90", "90th percentile of it [meV]", better="low"),
        ),
        remark="Scored after the length of training that is best on the unseen assemblies themselves, which favours the peer.",
        chapter="pairs",
        n_seeds=1,
        peer=package,
        peer_of=ours.name,
    )


SPEED = Trial(
    name="im2spec-speed",
    words="the same 1,000 pairs, one network on one thread: training pairs per second of processor time",
    run=side_by_side,
    settings={
        "pairs": 1000,
        "material": "one",
        "pixels": 32,
        "epochs": 10,
        "turns": 3,
        "peer": {"epochs": 3},
    },
    goals=(
        Goal("ours_pairs_per_second", "pairs per second of one network [1/s]"),
        Goal("AtomAI_pairs_per_second", "AtomAI's ImSpec [1/s]"),
        Goal("pyroVED_pairs_per_second", "pyroVED's VED [1/s]"),
        Goal("ratio_AtomAI", "ours relative to AtomAI"),
        Goal("ratio_pyroVED", "ours relative to pyroVED"),
    ),
    remark="In turns, three times; epochs after the first. Empty patches that our networks also learn from are not counted.",
    chapter="pairs",
    n_seeds=1,
    exclusive=True,
)
TRIALS = (
    SPEED,
    *(
        _of_peer(peer, trial)
        for peer in PEERS
        for trial in pairs.TRIALS
        if trial.name in ("im2spec-100", "im2spec-1000")
    ),
)
