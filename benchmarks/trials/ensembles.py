"""An ensemble of models without poses: where its members disagree, it is wrong."""

from typing import Any

from benchmarks import scores
from benchmarks.trial import Goal, Scores, Trial, clock, shortened
from benchmarks.trials import cards
from invae import InvariantVAE
from invae.estimators.ensemble import Ensemble


def disagreement(trial: Trial, seed: int, quick: bool) -> Scores:
    """How well the entropy of the members' mean class probabilities tells the misclassified among unseen cards."""
    setting = trial.settings["cards"]
    images = cards.numbers(cards.draw(setting, seed=seed, n_per_suit=100 if quick else None))[0]
    unseen = cards.draw(setting, seed=cards.UNSEEN + seed, n_per_suit=cards.N_UNSEEN)
    n_members = 2 if quick else trial.settings["n_members"]
    template = InvariantVAE(
        **shortened(trial.settings["model"], quick=quick), seed=n_members * seed
    )
    with clock() as took:
        ensemble = Ensemble(template, n_members=n_members).fit(images)
    said = ensemble.encode(cards.numbers(unseen)[0])
    suit, classes = cards.numbers(unseen)[1], said["class"].to_numpy().astype(int)
    wrong = scores.matched(classes, suit) != suit
    speeds = [epoch.patches_per_second for m in ensemble.members for epoch in m.history]
    return {
        "auc": scores.auc(said["class_entropy"].to_numpy(), wrong),
        "auc_agreement": scores.auc(-said["agreement"].to_numpy(), wrong),
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
    # Turns and shifts are no classes here: the groups to begin from are found by a model that infers them.
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
        remark="A jVAE has no pose: turns and shifts are content, so cards are misclassified. "
        "Without a misclassified card there is no AUC, and the mark counts as not reached.",
    ),
)
