"""Whether the image says anything about the spectra, in one sentence."""

import xarray as xr

from invae.verdict.findings import Finding, Light, Verdict

LEAST_R2 = 0.05
LITTLE_R2 = 0.3
"""Below it, the image says little about the spectra."""
LEAST_RELIABILITY = 0.3
SAME = 0.005
"""Differences of R² that count as none."""
LINEAR = ("pca_ridge", "pls", "invariant_ridge")
"""Baselines that are linear in the image or in its invariants."""


SHARED_NOISE = (
    "; the image was made of the same spectra and shares their noise, so that R² is too good"
)


def verdict(
    scores: xr.Dataset, repeated: xr.Dataset | None, *, shares_noise: bool = False
) -> Verdict:
    """The verdict for the head of the report: one finding, in one sentence.

    Args:
        scores: `r2` by predictor, the model first.
        repeated: The group `reliability`, if there is one.
        shares_noise: Whether the image was made of the same spectra.
    """
    light, sentence = _found(scores, repeated, shares_noise=shares_noise)
    return Verdict((Finding("spectra", light, sentence),))


def _found(
    scores: xr.Dataset, repeated: xr.Dataset | None, *, shares_noise: bool
) -> tuple[Light, str]:
    """The light and the sentence."""
    r2 = {
        str(name): float(scores["r2"].sel(predictor=name))
        for name in scores["predictor"].to_numpy()
    }
    own, mean = r2["model"], r2["mean"]
    best = max(LINEAR, key=lambda name: r2[name])
    leak = "; held-out pairs may overlap with training pairs, so that this is too good" if scores.attrs["leaks"] else ""  # fmt: skip
    leak += SHARED_NOISE if shares_noise else ""
    if repeated is not None and float(repeated["r"]) < LEAST_RELIABILITY:
        return "red", (
            f"not learnable from this image: repetitions of the measurement agree with r = {float(repeated['r']):.2f} only"
        )  # fmt: skip
    if max(own, r2[best]) < LEAST_R2 or max(own, r2[best]) <= mean:
        return "red", f"not learnable from this image: held-out R² is {own:.2f}{leak}"
    if scores.attrs["leaks"] and own <= r2.get("place", -1.0):
        return "amber", (
            f"undecided: held-out pairs lie among training pairs, and neighbours in place predict as well without the image "
            f"(R² {r2['place']:.2f}, this model {own:.2f}); record a larger area or more specimens"
        )
    if own <= r2[best]:
        label = str(scores["label"].sel(predictor=best).item())
        return "amber", (
            f"the model (held-out R² {own:.2f}) is no better than {label} ({r2[best]:.2f}): use that, or record more pairs{leak}"
        )  # fmt: skip
    others = {name: value for name, value in r2.items() if name not in ("model", "mean", "place")}
    strongest = max(others, key=lambda name: others[name])
    label = str(scores["label"].sel(predictor=strongest).item())
    better = f"{label} predicts better ({r2[strongest]:.2f})"
    beside = better if r2[strongest] > own + SAME else f"of {label} {r2[strongest]:.2f}"
    place = r2.get("place", -1.0)
    smooth = ""
    if own <= place:
        smooth = f"; but neighbours in place, without the image, have {place:.2f}, so that spectra may only vary smoothly"
    said = f"held-out R² is {own:.2f}, {beside}{smooth}{leak}"
    if own < LITTLE_R2:
        return "amber", f"the image says little about the spectra: {said}"
    doubtful = bool(smooth or leak or r2[strongest] > own + SAME)
    return ("amber" if doubtful else "green"), f"spectra follow from the image: {said}"
