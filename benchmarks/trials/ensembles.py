"""An ensemble of models without poses: its members disagree where it is wrong."""

from typing import Any

from benchmarks import scores
from benchmarks.trial import Goal, Scores, Trial, clock, shortened
from benchmarks.trials import cards
from invae import InvariantVAE
from invae.estimators.ensemble import Ensemble


def disagreement(trial: Trial, seed: int, quick: bool) -> Scores:
    """How well the entropy of the members' mean class probabilities identifies misclassified unseen cards."""
    setting = trial.settings["cards"]
    images = cards.arrays(cards.draw(setting, seed=seed, n_per_suit=100 if quick else None))[0]
    unseen = cards.draw(setting, seed=cards.UNSEEN + seed, n_per_suit=cards.N_UNSEEN)
    n_members = 2 if quick else trial.settings["n_members"]
    template = InvariantVAE(
        **shortened(trial.settings["model"], quick=quick), seed=n_members * seed
    )
    with clock() as took:
        ensemble = Ensemble(template, n_members=n_members).fit(images)
    latents = ensemble.encode(cards.arrays(unseen)[0])
    suit, classes = cards.arrays(unseen)[1], latents["class"].to_numpy().astype(int)
    wrong = scores.matched(classes, suit) != suit
    speeds = [epoch.patches_per_second for m in ensemble.members for epoch in m.history]
    return {
        "auc": scores.auc(latents["class_entropy"].to_numpy(), wrong),
        "auc_agreement": scores.auc(-latents["agreement"].to_numpy(), wrong),
        "accuracy": scores.accuracy(classes, suit),
        "n_wrong": float(wrong.sum()),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
        "images_per_second": sum(speeds) / len(speeds),
        "epochs": float(len(speeds)),
    }


MODEL: dict[str, Any] = {
    "family": "jVAE",
    "latent_dim": 2,
    "n_classes": 4,
    # Rotations and shifts are no classes here: a model that infers them finds the initial groups.
    "training": {"epochs": 10, "start_poses": ["rotation", "shift"]},
}
TRIALS = (
    Trial(
        name="ensemble-jvae",
        words="ensemble of 8 jVAE, a=120°, s=10°, t=0.1",
        run=disagreement,
        settings={
            "cards": {"angle": 120, "shear": 10, "shift": 0.1},
            "n_members": 8,
            "model": MODEL,
        },
        goals=(
            Goal("auc", "AUC of the consensus entropy for misclassified cards", "–", 0.9),
            Goal("auc_agreement", "AUC of the members' disagreement for the same"),
            Goal("accuracy", "accuracy of the consensus"),
            Goal("n_wrong", "misclassified, of 2,000"),
        ),
        n_seeds=3,
        remark="A jVAE has no pose: rotations and shifts are content, so that cards are misclassified. "
        "Without a misclassified card there is no AUC, and the goal counts as not reached.",
    ),
)
