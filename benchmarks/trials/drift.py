"""Drift of a series of PFM frames in which domain walls move: error and stated sd, from one channel and from several."""

import numpy as np

from benchmarks.trial import Goal, Scores, Trial, clock
from invae.config.describe import RegistrationConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.domains.registration import drift_of
from invae.synthetic import domains

UNSEEN = 10_000


def registered(trial: Trial, seed: int, quick: bool) -> Scores:
    """Error of the drift of every frame [px], and error by stated sd."""
    config = DomainsConfig.model_validate(trial.settings["recording"])
    if quick:
        config = config.model_copy(update={"n_frames": 6})
    recording, truth = domains.simulate_dataset(config, UNSEEN + seed)
    known = truth["drift"].transpose("frame", "axis").to_numpy()
    frames = {name: recording[name].to_numpy() for name in trial.settings["channels"]}
    with clock() as took:
        drift, sd, _ = drift_of(frames, RegistrationConfig())
    error = (drift - (known - known[0]))[1:]
    length = np.hypot(*error.T)
    return {
        "mean": float(length.mean()),
        "worst": float(length.max()),
        "z": float(np.sqrt(np.mean((error / sd[1:]) ** 2))),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


RECORDING = {"n_frames": 24, "probe": {"height_snr": 8.0, "drift": 2.0}}
TRIALS = tuple(
    Trial(
        name=f"drift-{name}",
        words=f"drift of 24 frames of 128 × 128 px with moving domain walls, from {words}",
        run=registered,
        settings={"recording": RECORDING, "channels": channels},
        goals=(
            Goal("mean", "mean error [px]", "–", 0.05, 0.08, better="low"),
            Goal("worst", "worst error of a frame [px]", "–", 0.15, 0.2, better="low"),
            Goal("z", "rms of error by stated sd", "–", 1.25, better="low"),
        ),
        n_seeds=5,
        chapter="microscopy",
    )
    for name, words, channels in (
        ("three", "deflection, amplitude and height", ["deflection", "amplitude", "height"]),
        ("two", "amplitude and height", ["amplitude", "height"]),
        ("height", "the height alone", ["height"]),
    )
)
